"""Web servers of our application in processes of their own, on the tests' database, and requests to all of them."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from threading import Barrier
from typing import Any

import requests
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test.testcases import QuietWSGIRequestHandler

from tests.ledger import children


class Server(ThreadedWSGIServer):
    request_queue_size = 128  # all come at once


def serve(port: Any) -> None:
    """Serve until killed, a thread for each connection, and tell the port."""
    server = Server(("127.0.0.1", 0), QuietWSGIRequestHandler)
    server.set_app(WSGIHandler())
    port.send(server.server_port)
    server.serve_forever()


@contextlib.contextmanager
def web_processes(count: int) -> Iterator[list[str]]:
    """The addresses of so many servers."""
    context, started, addresses = get_context("forkserver"), [], []
    try:
        for _ in range(count):
            receiver, sender = context.Pipe(duplex=False)
            started.append(children.start(serve, sender))
            assert receiver.poll(30), "a server does not start"
            addresses.append(f"http://127.0.0.1:{receiver.recv()}")
        yield addresses
    finally:
        children.end(*started)


def at_once(
    addresses: list[str], method: str, path: str, *, key: str, times: int, threads: int = 32, **options: Any
) -> list[requests.Response]:
    """The replies to equal requests, by turns to each server, from threads that begin together."""
    barrier, targets = Barrier(threads), itertools.cycle(addresses)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | options.get("headers", {})
    body = json.dumps(options["body"]).encode() if "body" in options else None

    def send(urls: list[str]) -> list[requests.Response]:
        barrier.wait()
        return [requests.request(method, url, headers=headers, data=body, timeout=30) for url in urls]

    shares = [[next(targets) + path for _ in range(times // threads)] for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return list(itertools.chain.from_iterable(pool.map(send, shares)))
