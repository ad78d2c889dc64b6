"""A deployment as it should be, for tests: tables of an owner, a deploy role, and an application that is neither."""

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from django.core.management import call_command
from django.db import connection

from ledger.sequencer import Sequencer
from tests.ledger.test_forging import BALANCED, append, run

APP, DEPLOY, SUPERUSER = "app", "deploy", "superuser"


@contextmanager
def deployed() -> Iterator[SimpleNamespace]:
    """The names of the roles, and of a schema that is the owner's, too. Committed: two entries, one sequenced."""
    names = {name: f"rako_{name}_{secrets.token_hex(4)}" for name in ("owner", "deploy", "app", "elsewhere")}
    try:
        _deploy(**names)
        append(**BALANCED, merchant_opening=b"{}")
        Sequencer().tick()
        append(merchant_opening=b"{}")
        yield SimpleNamespace(**names)
    finally:
        call_command("flush", interactive=False, verbosity=0)
        _withdraw(**names)


def become(cast: SimpleNamespace, role: str) -> None:
    """Be a role until the transaction ends."""
    if role != SUPERUSER:
        run(f"SET LOCAL ROLE {getattr(cast, role)}")


def protect(**options: Any) -> str:
    """What the command says."""
    out = io.StringIO()
    call_command("protect_database", stdout=out, **options)
    return out.getvalue()


def _deploy(owner: str, deploy: str, app: str, elsewhere: str) -> None:
    run(f"CREATE ROLE {owner}; CREATE ROLE {deploy} IN ROLE {owner}; CREATE ROLE {app}")
    run(f"CREATE SCHEMA {elsewhere}; GRANT CREATE, USAGE ON SCHEMA {elsewhere} TO {owner}")
    run(f"GRANT CREATE ON DATABASE {connection.settings_dict['NAME']} TO {owner}")  # to rename a schema
    _hand_over(owner)
    run(f"ALTER SCHEMA public OWNER TO {owner}")
    protect(app_role=app)


def _hand_over(owner: str) -> None:
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    ours = "(proname LIKE 'ledger%' OR proname LIKE 'rako%' OR proname LIKE 'merchants%')"
    functions = f"SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND {ours}"
    run("; ".join(f"ALTER TABLE {name} OWNER TO {owner}" for (name,) in run(tables)))
    run("; ".join(f"ALTER FUNCTION {name} OWNER TO {owner}" for (name,) in run(functions)))


def _withdraw(owner: str, deploy: str, app: str, elsewhere: str) -> None:
    _hand_over("SESSION_USER")
    run("ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC")
    run(f"DROP SCHEMA {elsewhere}; DROP OWNED BY {owner}, {deploy}, {app}; DROP ROLE {deploy}, {app}, {owner}")
