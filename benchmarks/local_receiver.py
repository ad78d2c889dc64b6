"""A receiver of webhooks that takes everything at once, in a process of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def local_receiver() -> Iterator[str]:
    """Run one; its address."""
    command = [sys.executable, "-m", "benchmarks.local_receiver"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    [length] = [line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    await reader.readexactly(int(length))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve())
