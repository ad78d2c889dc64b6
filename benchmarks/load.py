"""The load: keep-alive HTTP/1.1 over a few connections, from a process of its own. Reads a plan, prints the figures."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any


def drive(
    base_url: str,
    requests: list[dict[str, Any]],
    *,
    repeat: bool,
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> dict[str, Any]:
    """Send requests, each once or the first over and over, from another process; its figures.

    As fast as they are answered, or so many a second, as far as connections are free.
    """
    host, port = base_url.removeprefix("http://").rsplit(":", 1)
    plan: dict[str, Any] = {"host": host, "port": int(port), "requests": requests, "repeat": repeat}
    plan |= {"seconds": seconds, "rate": rate}
    done = subprocess.run(  # noqa: S603  # this very file
        [sys.executable, __file__],
        input=json.dumps(plan | {"connections": connections}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> int:
    """Send a request, read the whole answer; its status."""
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(head[9:12])


async def _client(
    plan: dict[str, Any], queue: list[bytes], turns: Iterator[float], deadline: float, out: list[tuple[float, int]]
) -> None:
    reader, writer = await asyncio.open_connection(plan["host"], plan["port"])
    while time.perf_counter() < deadline and queue:
        raw = queue[0] if plan["repeat"] else queue.pop()
        await asyncio.sleep(next(turns) - time.perf_counter())
        started = time.perf_counter()
        status = await _one(reader, writer, raw)
        out.append((time.perf_counter() - started, status))
    writer.close()


def _raw(plan: dict[str, Any], request: dict[str, Any]) -> bytes:
    body = request.get("body", "").encode()
    lines = [f"{request['method']} {request['path']} HTTP/1.1", f"Host: {plan['host']}:{plan['port']}"]
    lines += [f"{name}: {value}" for name, value in request.get("headers", {}).items()]
    lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    queue = [_raw(plan, request) for request in plan["requests"]]
    taken: list[tuple[float, int]] = []
    started = time.perf_counter()
    deadline = started + plan["seconds"]
    turns = (started + number / plan["rate"] if plan["rate"] else started for number in itertools.count())
    await asyncio.gather(*(_client(plan, queue, turns, deadline, taken) for _ in range(plan["connections"])))
    elapsed = time.perf_counter() - started
    times = sorted(seconds for seconds, _ in taken)
    statuses = [status for _, status in taken]
    return {
        "requests": len(times),
        "rps": len(times) / elapsed,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[len(times) * 99 // 100] * 1000,
        "failed": sum(status >= 400 for status in statuses),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(json.load(sys.stdin)))))
