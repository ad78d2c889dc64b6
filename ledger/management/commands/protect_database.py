"""manage.py protect_database"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, transaction

from ledger import roles


class Command(BaseCommand):
    help = (
        "Leave the role that the application connects as with the least it needs, and optionally have PostgreSQL "
        "refuse changes to the ledger's schema. Run it as the tables' owner after each migration; safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--app-role", help="an existing role that does not own the tables")
        parser.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")
        either = parser.add_mutually_exclusive_group()
        either.add_argument(
            "--event-trigger",
            action="store_true",
            default=None,
            help="refuse ALTER, DROP and the like on tables, functions and triggers of facts (as a superuser)",
        )
        either.add_argument(
            "--no-event-trigger",
            action="store_false",
            dest="event_trigger",
            default=None,
            help="let them through again, as a migration of these tables needs (as a superuser)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        role, wanted = options["app_role"], options["event_trigger"]
        if role is None and wanted is None:
            raise CommandError("nothing to do: give --app-role, --event-trigger or --no-event-trigger")
        try:
            with transaction.atomic():
                statements = self._statements(role, wanted)
                if not options["dry_run"]:
                    _execute(statements)
                left = roles.excess(role) if role and not options["dry_run"] else []
        except roles.UnfitRole as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"nothing was changed: {error}") from None
        if options["dry_run"]:
            self.stdout.write("\n".join(f"{statement.strip()};" for statement in statements))
        self._report(role, left, len(statements), is_dry=options["dry_run"])

    def _statements(self, role: str | None, event_trigger: bool | None) -> list[str]:
        found: list[str] = []
        if role is not None:
            roles.check_role(role)
            found += roles.grants(role)
        if event_trigger is not None:
            if not _is_superuser():
                raise CommandError("only a superuser may create or remove an event trigger: connect as one")
            found += roles.event_trigger() if event_trigger else roles.NO_EVENT_TRIGGER
        return found

    def _report(self, role: str | None, left: list[str], count: int, *, is_dry: bool) -> None:
        for what in left:
            self.stdout.write(f"{role} still has {what}, by way of another role or grantor")
        self.stdout.write(
            f"{count} statements {'would run' if is_dry else 'done'}, {len(left)} privileges too many left"
        )
        if left:
            raise SystemExit(3)


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _is_superuser() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])
