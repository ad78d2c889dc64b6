"""A way to PostgreSQL on which replies get lost: the statement arrives, is carried out and kept, and nobody hears."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from select import select

from django.db import connection

from rako.core.postgres_programs import PORT
from tests.ledger.clusters import connected_to

_IDLE = b"Z\x00\x00\x00\x05I"  # ReadyForQuery, outside a transaction: what was sent is committed


class Cutter:
    """`cut_at` a text: the next statement with it gets no reply, for the connection ends instead."""

    def __init__(self, folder: Path) -> None:
        self.cuts = 0
        self._marker = b""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / f".s.PGSQL.{PORT}"))
        self._server.listen()
        self._target = connection.settings_dict["HOST"], connection.settings_dict["PORT"] or PORT
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_at(self, text: str) -> None:
        self._marker = text.encode()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, self._connect() as server, contextlib.suppress(OSError):
            while True:
                for source in select([client, server], [], [])[0]:
                    content = source.recv(65536)
                    if not content:
                        return
                    (server if source is client else client).sendall(content)
                    if source is client and self._marker and self._marker in content:
                        self._swallow_reply(server)
                        return

    def _swallow_reply(self, server: socket.socket) -> None:
        reply = b""
        while not reply.endswith(_IDLE):
            piece = server.recv(65536)
            if not piece:
                return
            reply += piece
        self._marker = b""
        self.cuts += 1

    def _connect(self) -> socket.socket:
        host, port = self._target
        if not str(host).startswith("/"):
            return socket.create_connection((host or "localhost", int(port)))
        found = socket.socket(socket.AF_UNIX)
        found.connect(f"{host}/.s.PGSQL.{port}")
        return found


@contextlib.contextmanager
def cutting(folder: Path) -> Iterator[Cutter]:
    """Django's connection goes through a Cutter, whose socket is in the folder."""
    cutter = Cutter(folder)
    with connected_to(HOST=str(folder), PORT=str(PORT)):
        yield cutter
    cutter.close()
