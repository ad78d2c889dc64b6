"""The replica of Stripe as a process: started, asked and ended."""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.counterparties.install import folder, missing

HERE = Path(__file__).parent
STARTING = 60


@dataclass(frozen=True, slots=True)
class World:
    """One account in one mode: what is in one can never be seen from another."""

    account: str
    live: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; `json` is its body, read."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ReplicaError(Exception):
    """The replica did not start, or failed in a way that Stripe would not: a bug of the counterparty, not of ours."""


class Replica:
    """The replica in a Node process of its own, one request at a time."""

    def __init__(self) -> None:
        reason = missing()
        if reason is not None:
            raise ReplicaError(reason)
        command = ["node", str(HERE / "bridge.mjs"), str(folder()), str(HERE / "stripe_world.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._port = self._read_port()

    def call(self, world: World, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        """Carry one HTTP request to an account. Raises ReplicaError if the replica itself fails."""
        mode = "live" if world.live else "test"
        sent = {**headers, "Stripe-Account": world.account, "Authorization": f"Bearer sk_{mode}_counterparty"}
        connection = self._connection()
        try:
            connection.request(method, target, body, sent)
            answered = connection.getresponse()
            reply = Reply(answered.status, answered.read(), {k.lower(): v for k, v in answered.getheaders()})
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ReplicaError(f"the replica is gone: {error}") from error
        if reply.status >= 500:
            raise ReplicaError(f"{method} {target}: {reply.body.decode()}")
        return reply

    def get(self, world: World, path: str, **query: Any) -> Any:
        """Read an object or a list. Raises LookupError where Stripe answers an error."""
        reply = self.call(world, "GET", f"{path}?{urlencode(query, doseq=True)}")
        if reply.status != 200:
            raise LookupError(reply.json["error"]["message"])
        return reply.json

    def post(self, world: World, path: str, **form: Any) -> Reply:
        """Send a form, without what is None; dictionaries in it are spelt `a[b]`."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.call(world, "POST", path, urlencode(list(_flat(form))).encode(), **kind)

    def do(self, world: World, deed: str, **arguments: Any) -> Any:
        """What only time, a bank or a buyer does: a deed of `stripe_world.py`, by name."""
        return self.call(world, "POST", f"/_deed/{deed}", json.dumps(arguments).encode()).json

    def forget(self, world: World) -> None:
        """Give back the memory of an account, of which nothing remains: about 1.4 MB."""
        self.call(world, "POST", "/_forget")

    def close(self) -> None:
        """The process ends with its standard input."""
        for connection in self._connections:
            connection.close()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(STARTING)

    def _read_port(self) -> int:
        assert self._process.stdout is not None
        watch = threading.Timer(STARTING, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line.strip().isdigit():
            self.close()
            raise ReplicaError(f"the replica did not start: {line.strip() or 'it said nothing'}")
        return int(line)

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            self._connections.append(found)
        return found


def _flat(form: dict[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in form.items():
        spelt = f"{inside}[{name}]" if inside else name
        if isinstance(value, dict):
            yield from _flat(value, spelt)
        elif value is not None:
            yield spelt, str(value).lower() if isinstance(value, bool) else value
