"""Asking a witness to cosign a checkpoint (C2SP tlog-witness, `add-checkpoint`).

A witness keeps the last checkpoint of this log that it cosigned and cosigns nothing that contradicts it, so that the
log cannot show two histories to two parties. What it cosigned last is the caller's to keep and give back as `old_size`.
"""

import time
from collections.abc import Sequence

import requests

from rako.core.tlog.encoding import decode_decimal, encode_base64
from rako.core.tlog.notes import NoteError, Verifier, note_text, open_note, parse_vkey
from rako.core.tlog.vkeys import COSIGNATURE

MAX_BODY_BYTES = 64 * 1024
MAX_PATH = 63
SIZE_TYPE = "text/x.tlog.size"


class WitnessError(Exception):
    """No cosignature came of it."""


class WitnessConflict(WitnessError):
    """The witness last cosigned another size than `old_size`: `size`. If both are equal, it cosigned another root."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness is at size {size}")
        self.size = size


class WitnessRefused(WitnessError):
    """The witness does not know the log (404) or its key (403), or will not follow the proof (422, 400: `status`)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the witness answered {status}")
        self.status = status


class WitnessUnavailable(WitnessError):
    """No answer in time, or none that says anything: try again later."""


class WitnessInvalid(WitnessUnavailable):
    """The answer is too long, malformed, or without a cosignature that holds."""


class Witness:
    """A witness by its key (of kind 0x04) and the address before `/add-checkpoint`. Raises NoteError for other keys."""

    def __init__(self, vkey: str, url: str) -> None:
        self._verifier = parse_vkey(vkey)
        if self._verifier.algorithm != COSIGNATURE:
            raise NoteError("not the key of a witness")
        self._url = f"{url.rstrip('/')}/add-checkpoint"

    @property
    def name(self) -> str:
        """The name its cosignatures carry."""
        return self._verifier.name

    @property
    def verifier(self) -> Verifier:
        """Its key, as whoever checks its cosignatures needs it."""
        return self._verifier

    def cosign(self, note: str, old_size: int, path: Sequence[bytes], timeout: float) -> str:
        """The witness's verified signature lines, to be appended to the note as they are.

        `path` proves that the note's checkpoint continues the one of `old_size` (empty if that is 0); `timeout` is in
        seconds, for the whole answer. Raises WitnessConflict, WitnessRefused or WitnessUnavailable, and ValueError for
        a longer path than any tree has.
        """
        if len(path) > MAX_PATH:
            raise ValueError("a path of no possible length")
        text = note_text(note)
        request = "".join([f"old {old_size}\n", *(f"{encode_base64(node)}\n" for node in path), "\n", note])
        status, content_type, body = self._post(request.encode(), timeout)
        if status == requests.codes.ok:
            return self._verified(text, body)
        if status == requests.codes.conflict:
            raise WitnessConflict(_known_size(content_type, body))
        if status in (400, 403, 404, 422):
            raise WitnessRefused(status)
        raise WitnessUnavailable(f"the witness answered {status}")

    def _post(self, content: bytes, timeout: float) -> tuple[int, str, str]:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"}
        deadline = time.monotonic() + timeout
        try:
            # A redirect is not followed: a witness is where the operator said it is.
            with requests.post(
                self._url, content, headers=headers, timeout=timeout, allow_redirects=False, stream=True
            ) as response:
                return response.status_code, response.headers.get("Content-Type", ""), _read(response, deadline)
        except requests.RequestException as error:
            raise WitnessUnavailable(f"no answer from {self.name}: {type(error).__name__}") from None

    def _verified(self, text: str, lines: str) -> str:
        # Over the text alone: an older cosignature in the note must not stand in for a missing one.
        try:
            opened = open_note(f"{text}\n{lines}", [self._verifier])
        except NoteError as error:
            raise WitnessInvalid(str(error)) from None
        return "".join(signature.line for signature in opened.signatures)


def _read(response: requests.Response, deadline: float) -> str:
    """The body, byte by byte: bounded in length and in time even if it drips."""
    body = bytearray()
    for piece in response.iter_content(1):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise WitnessInvalid("an endless answer")
        if time.monotonic() > deadline:
            raise WitnessUnavailable("an answer that takes too long")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WitnessInvalid("not UTF-8") from None


def _known_size(content_type: str, body: str) -> int:
    if content_type.partition(";")[0].strip().lower() != SIZE_TYPE or not body.endswith("\n"):
        raise WitnessInvalid("a conflict without a size")
    try:
        return decode_decimal(body[:-1])
    except ValueError:
        raise WitnessInvalid("a conflict without a size") from None
