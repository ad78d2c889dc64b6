"""Django's PostgreSQL backend for the embedded server, which a process starts when it first connects."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient

from rako.core.embedded_postgres import PORT, bin_dir, ensure_running

_LOOK_EVERY = 1.0  # seconds


class DatabaseClient(PostgresClient):
    """The psql of the embedded server's own programs, for ``dbshell``."""

    @classmethod
    def settings_to_cmd_args_env(cls, settings_dict: dict[str, Any], parameters: Iterable[str]) -> Any:
        """Django's command for psql, found where no PostgreSQL client is installed."""
        arguments, environment = super().settings_to_cmd_args_env(settings_dict | {"PORT": PORT}, parameters)
        return [str(bin_dir() / "psql"), *arguments[1:]], environment

    def runshell(self, parameters: Iterable[str]) -> None:
        """Open the shell on a running server; raises EmbeddedPostgresError."""
        ensure_running(Path(settings.RAKO_DATA_DIR))
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections to the embedded server of RAKO_DATA_DIR."""

    client_class = DatabaseClient
    _looked_at = float("-inf")  # of the process: all its threads take connections of one pool

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters, with the port that names the socket: PGPORT must not change it."""
        return {**super().get_connection_params(), "port": PORT}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, or take a connection of the pool, once the server is up; raises EmbeddedPostgresError."""
        # Every request takes one of the pool, and to look costs more than most queries: a server that has gone since
        # is started again a moment later.
        now = time.monotonic()
        if not self.pool or now > DatabaseWrapper._looked_at + _LOOK_EVERY:
            ensure_running(Path(settings.RAKO_DATA_DIR))
            DatabaseWrapper._looked_at = now
        return super().get_new_connection(conn_params)
