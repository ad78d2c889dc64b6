"""A witness as C2SP tlog-witness wants it, on a real socket, its state on disk – and with moods in which it lies."""

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.checkpoints import Checkpoint, parse_checkpoint
from rako.core.tlog.notes import NoteError, Verifier, note_text, open_note
from rako.core.tlog.proofs import verify_consistency

Answer = tuple[int, str, bytes]
TEXT = "text/plain; charset=utf-8"


class WitnessKey:
    """Cosigns (C2SP tlog-cosignature) with its own code, so that the product's is held against another's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.private_key = Ed25519PrivateKey.generate()
        material = b"\x04" + self.private_key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(material).decode()}"

    def line(self, text: str, *, time: int = 1_790_000_000) -> str:
        signature = self.private_key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        raw = self.key_id + struct.pack(">Q", time) + signature
        return f"— {self.name} {base64.b64encode(raw).decode()}\n"


class StubWitness:
    """Knows one log. `mood` replaces the answer: a function of the honest one."""

    def __init__(self, folder: Path, origin: str, log_key: Verifier) -> None:
        self.key = WitnessKey("witness.example/w1")
        self.origin, self.log_key = origin, log_key
        self.state = folder / "witness.json"
        self.mood: Callable[[Answer], Answer] | None = None
        self.drip: float | None = None
        self.requests: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def last(self) -> tuple[int, bytes]:
        if not self.state.exists():
            return 0, b""
        state = json.loads(self.state.read_text())
        return state["size"], bytes.fromhex(state["root"])

    def answer(self, path: str, body: str) -> Answer:
        self.requests.append((path, body))
        if path != "/w1/add-checkpoint":
            return 404, TEXT, b"no such page\n"
        with self._lock:
            honest = self._add_checkpoint(body)
        return self.mood(honest) if self.mood else honest

    def _add_checkpoint(self, body: str) -> Answer:
        head, _, note = body.partition("\n\n")
        old_line, *lines = head.split("\n")
        checkpoint = parse_checkpoint(note_text(note))
        if checkpoint.origin != self.origin:
            return 404, TEXT, b"unknown log\n"
        try:
            open_note(note, [self.log_key])
        except NoteError:
            return 403, TEXT, b"not signed by the log\n"
        return self._follow(checkpoint, int(old_line.removeprefix("old ")), [base64.b64decode(line) for line in lines])

    def _follow(self, checkpoint: Checkpoint, old_size: int, path: list[bytes]) -> Answer:
        size, root = self.last()
        if old_size > checkpoint.size:
            return 400, TEXT, b"old size above new\n"
        if old_size != size or (size == checkpoint.size and root != checkpoint.root and size):
            return 409, "text/x.tlog.size", f"{size}\n".encode()
        proven = verify_consistency(size, checkpoint.size, root, checkpoint.root, path) if size else not path
        if not proven:
            return 422, TEXT, b"inconsistent\n"
        self.state.write_text(json.dumps({"size": checkpoint.size, "root": checkpoint.root.hex()}))
        return 200, TEXT, self.key.line(checkpoint.text).encode()


def serve(witness: StubWitness) -> ThreadingHTTPServer:
    """A server for the witness on a free port; the caller runs and closes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, content_type, content = witness.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self._send(content)

        def _send(self, content: bytes) -> None:
            if witness.drip is None:
                self.wfile.write(content)
                return
            for byte in content:
                self.wfile.write(bytes([byte]))
                if witness.closing.wait(witness.drip):
                    return

        def log_message(self, *args: Any) -> None:
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: Any) -> None:
            """A client that hangs up is what some tests are about."""

    return Server(("127.0.0.1", 0), Handler)
