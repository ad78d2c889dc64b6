"""manage.py close_validation_periods"""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from ledger.validation import CHUNK, close_validation_periods, due
from rako.core.progress import progress


class Command(BaseCommand):
    help = (
        "Validate the conversions whose validation has ended, as the worker does by itself. Disputed ones wait until "
        "they are resolved. Exit 3 if some could not be validated. Safe to repeat, and beside a second run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--as-of", type=_moment, help="a date or time instead of now: in the sandbox only")
        parser.add_argument("--dry-run", action="store_true", help="only count what is due")
        parser.add_argument("--json", action="store_true", help="one object for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["as_of"] and settings.RAKO_MODE != "sandbox":
            raise CommandError("--as-of is for the sandbox: here time passes by itself", returncode=2)
        as_of = options["as_of"] or timezone.now()
        try:
            count = due(as_of).count()
            steps = () if options["dry_run"] else close_validation_periods(as_of)
            closed = list(progress(steps, total=-(-count // CHUNK), label="validations, by the hundred"))
        except DatabaseError as error:
            raise CommandError(f"could not finish: {error}") from None
        left = [pk for step in closed for pk in step.left]
        validated = sum(step.validated for step in closed)
        if options["json"]:
            self.stdout.write(json.dumps({"due": count, "validated": validated, "left": left}))
        else:
            for pk in left:
                self.stdout.write(f"{pk} could not be validated: the log has the cause")
            self.stdout.write(f"{count} due, {validated} validated, {len(left)} left")
        if left:
            raise SystemExit(3)


def _moment(text: str) -> datetime:
    """A date or a time; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("a date or a time in ISO 8601 is expected") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
