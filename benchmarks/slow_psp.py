"""A payment processor that thinks for a while: Hyperswitch's payment links and lists, as far as our connector asks.

It holds nothing back but time, so that it can be asked by many at once: what is measured is us. Not a counterparty for
tests: those are in tests/counterparties.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ACCOUNT, KEY = "merchant_benchmark", "snd_benchmark_key_0123456789"
_FOREVER = "2099-01-01T00:00:00.000Z"


@contextmanager
def slow_psp(delay_ms: int, payments: Path | None = None) -> Iterator[str]:
    """Run it in a process of its own; its address. `payments` is a file of payments to list, as JSON."""
    command = [sys.executable, "-m", "benchmarks.slow_psp", str(delay_ms), str(payments or "")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


class Psp:
    """Its one account."""

    def __init__(self, delay: float, payments: list[dict[str, Any]]) -> None:
        self._delay = delay
        self._payments = sorted(payments, key=lambda payment: payment["created"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it is closed."""
        while head := await _head(reader):
            method, address, _ = head.split("\r\n", 1)[0].split(" ")
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
            )
            body = json.loads(await reader.readexactly(length) or b"null")
            if method == "POST" and address == "/payments":
                await asyncio.sleep(self._delay)
            raw = json.dumps(self._answer(method, address, body)).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(raw), raw)
            )
            await writer.drain()
        writer.close()

    def _answer(self, method: str, address: str, body: Any) -> Any:
        parts = urlsplit(address)
        if (method, parts.path) == ("POST", "/payments"):
            return link(body)
        if parts.path == "/payments/list":
            asked = {name: value[0] for name, value in parse_qs(parts.query).items()}
            since, until = asked["created.gte"], asked["created.lte"]
            within = (one for one in self._payments if since <= one["created"] <= until)
            found = [one for one, _ in zip(within, range(int(asked["limit"])), strict=False)]
            return {"count": len(found), "data": found}
        if parts.path.startswith("/payments/"):
            wanted = parts.path.split("/")[2]
            return next(one for one in self._payments if one["payment_id"] == wanted)
        return {"count": 0, "total_count": 0, "data": []} if parts.path == "/refunds/list" else []


def link(asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A payment as Hyperswitch shows it."""
    shown = {
        "merchant_id": ACCOUNT,
        "status": "requires_payment_method",
        "amount_received": None,
        "created": "2026-01-01T00:00:00.000Z",
        "expires_on": _FOREVER,
        "payment_link": {
            "link": f"https://psp.example/{asked['payment_id']}",
            "secure_link": None,
            "payment_link_id": "p",
        },
        "refunds": None,
        "disputes": None,
    }
    return asked | shown | changes


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


async def _main(delay_ms: str, payments: str) -> None:
    psp = Psp(int(delay_ms) / 1000, json.loads(Path(payments).read_text()) if payments else [])
    server = await asyncio.start_server(psp.serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
