"""Failures on demand: for the next requests that match, instead of the answer or after the work was done.

`rate_limited` 429 as plain text; `object_locked` 429; `server_error` 500 HE_00; `garbage` 502 as HTML; `dropped` the
connection closes without an answer; `silent` nothing comes for `SILENCE` seconds, then the connection closes. With
`processed` the request has its effect and only the answer is lost: the client cannot know the outcome. Not
established: body and headers of a rate limit's 429 (here plain text, no Retry-After).
"""

from dataclasses import dataclass
from typing import Literal

from tests.counterparties.hyperswitch import errors

Kind = Literal["rate_limited", "object_locked", "server_error", "garbage", "dropped", "silent"]
KINDS = {"rate_limited", "object_locked", "server_error", "garbage", "dropped", "silent"}
UNPROCESSABLE = {"rate_limited", "object_locked"}
SILENCE = 5.0


@dataclass
class Fault:
    """A failure to come: how often, and for which requests."""

    kind: Kind
    times: int
    method: str | None
    path: str
    processed: bool

    def strikes(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {None, method} and path.startswith(self.path)


def take(faults: list[Fault], method: str, path: str) -> Fault | None:
    """The first failure that waits for this request, used up by one."""
    for fault in faults:
        if fault.strikes(method, path):
            fault.times -= 1
            return fault
    return None


def answer(kind: Kind) -> tuple[int, object]:
    """Status and body; text goes out as it is."""
    if kind == "rate_limited":
        return 429, "Too many requests"
    if kind == "garbage":
        return 502, "<html><body>Bad gateway</body></html>"
    error = errors.locked() if kind == "object_locked" else errors.server_error()
    return error.status, error.body
