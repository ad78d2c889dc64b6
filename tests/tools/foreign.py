"""Second opinions on a proof, by programs that share no code with the verifier: Node's crypto and OpenSSL."""

import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

NODE_SCRIPT = Path(__file__).with_name("verify_proof.mjs")
SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")


def require(program: str) -> str:
    """The program's path. Skips the test without it, or fails where everything is required."""
    path = shutil.which(program)
    if path is None:
        say = pytest.fail if os.environ.get("RAKO_TEST_REQUIRE") == "all" else pytest.skip
        say(f"{program} IS NOT INSTALLED: its second opinion on the proof was not heard")
    return str(path)


def node_verdict(proof_path: Path) -> tuple[int, str]:
    """Exit code (0 holds, 3 does not, 1 unreadable) and output of the check in Node."""
    command = [require("node"), str(NODE_SCRIPT), str(proof_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def openssl_verifies(note_text: str, vkey: str) -> bool:
    """Whether OpenSSL accepts the signature that a signed note bears under the key's name."""
    name, key_id, key = vkey.split("+", 2)
    text, _, signatures = note_text.rpartition("\n\n")
    rows = [line.split(" ") for line in signatures.splitlines()]
    raws = [base64.b64decode(row[2]) for row in rows if row[1] == name]
    ours = [raw[4:] for raw in raws if raw[:4].hex() == key_id]
    return bool(ours) and all(_verify(f"{text}\n".encode(), signature, base64.b64decode(key)[1:]) for signature in ours)


def _verify(text: bytes, signature: bytes, key: bytes) -> bool:
    openssl = require("openssl")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in ("text", "signature", "key")}
        paths["text"].write_bytes(text)
        paths["signature"].write_bytes(signature)
        paths["key"].write_bytes(SPKI_PREFIX + key)
        command = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", str(paths["key"])]
        command += ["-in", str(paths["text"]), "-sigfile", str(paths["signature"])]
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    return done.returncode == 0 and b"Verified Successfully" in done.stdout
