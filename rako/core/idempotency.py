"""`Idempotency-Key`: a POST that is sent again gets the reply to the first one, and does nothing (protocol, section 0).

A key belongs to a party – an agent or a merchant, whichever of its API keys it comes with – and to one path. Bodies are
the same if their bytes are.

Where the work is one database transaction, the reply is stored in that transaction: there is never one without the
other. Where it is not, because it calls a payment processor or is done in parts, the request is claimed first, for a
minute, and the reply stored right after: what a crash leaves in between can be sent again when that is over, and the
operation itself knows what it has done.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import models, transaction
from django.db.models import Q
from django.http import HttpResponse

from rako.core.encryption import SealedField, seal, unseal
from rako.core.errors import BadRequest, Conflict, RakoError
from rako.core.postgres import Statement, send

HEADER = "HTTP_IDEMPOTENCY_KEY"
LONGEST = 255
KEPT = "24 hours"
# Longer than any request takes, payment processors included.
_CLAIM = "60 seconds"
_HEADERS = ("Content-Type", "X-Error-Code", "Location", "Cache-Control")
# Said of the caller or of the form of the request: it may be another answer the next time.
_NOT_KEPT = frozenset({401, 403, 405, 413, 415, 429})


class KeyReused(RakoError):
    status, code = 422, "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request"


class InFlight(Conflict):
    code, message = "idempotency_in_flight", "The first request with this Idempotency-Key is still in flight"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class IdempotentReply(models.Model):
    """A request that came with a key, claimed or answered. Replies may show secrets and are encrypted."""

    scope = models.BinaryField(max_length=32, primary_key=True, help_text="A hash of party, path and key.")
    body_sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True)
    reply = SealedField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(claimed_until=None, reply__isnull=False) | Q(claimed_until__isnull=False, reply=None),
                name="idempotent_is_claimed_or_answered",
            )
        ]


class Asked(NamedTuple):
    """A request with a key: whose it is, and what it asks."""

    scope: bytes
    body_sha256: bytes

    @classmethod
    def by(cls, party: str, path: str, key: str, body: bytes) -> "Asked":
        """A party's request. Raises BadRequest for a key that is none."""
        if not 1 <= len(key) <= LONGEST or not all("!" <= character <= "~" for character in key):
            text = f"Idempotency-Key must be 1 to {LONGEST} visible ASCII characters"
            raise BadRequest(text, code="invalid_idempotency_key")
        # None of the three has a NUL: the middleware refuses such paths.
        scope = hashlib.sha256("\0".join((party, path, key)).encode("utf-8", "surrogatepass"))
        return cls(scope.digest(), hashlib.sha256(body).digest())


def once(asked: Asked, work: Callable[[], HttpResponse], *, is_one_transaction: bool) -> HttpResponse:
    """The reply to a request: the stored one, or what `work` answers now. Raises KeyReused or InFlight.

    `work` returns a rendered reply for whatever the caller did wrong, and raises what is a fault of ours.
    """
    return _in_one_transaction(asked, work) if is_one_transaction else _claimed(asked, work)


# Whoever works on a request in a transaction holds this lock, and nobody waits for it.
_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
# A statement of its own: it sees what was committed before the lock was had.
_LOOK = f"""
SELECT body_sha256, claimed_until > statement_timestamp(), reply FROM rako_idempotentreply
WHERE scope = %s AND created_at > statement_timestamp() - interval '{KEPT}'
"""  # noqa: S608 - a constant
_STORE = """
INSERT INTO rako_idempotentreply (scope, body_sha256, created_at, claimed_until, reply)
VALUES (%s, %s, statement_timestamp(), {claimed_until}, %s)
ON CONFLICT (scope) DO UPDATE SET (body_sha256, created_at, claimed_until, reply) =
    ROW (excluded.body_sha256, excluded.created_at, excluded.claimed_until, excluded.reply)
RETURNING claimed_until
"""
_ANSWER = _STORE.format(claimed_until="NULL")
_CLAIM_IT = _STORE.format(claimed_until=f"statement_timestamp() + interval '{_CLAIM}'")
# Not once another request has taken the claim over.
_OURS = "WHERE scope = %s AND claimed_until = %s"
_ANSWER_CLAIM = f"UPDATE rako_idempotentreply SET reply = %s, claimed_until = NULL {_OURS}"  # noqa: S608 - a constant
_GIVE_UP = f"DELETE FROM rako_idempotentreply {_OURS}"  # noqa: S608 - a constant
_EXPIRE = f"""
DELETE FROM rako_idempotentreply WHERE scope IN (
    SELECT scope FROM rako_idempotentreply WHERE created_at <= statement_timestamp() - interval '{KEPT}'
    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
) RETURNING 1
"""  # noqa: S608 - a constant


def _in_one_transaction(asked: Asked, work: Callable[[], HttpResponse]) -> HttpResponse:
    with transaction.atomic():
        if (known := _look(asked)) is not None:
            return known
        response = work()
        if response.status_code >= 500:
            transaction.set_rollback(True)
        elif _is_kept(response) and not transaction.get_connection().needs_rollback:
            send(Statement(_ANSWER, [*asked, _sealed(response)]))
    return response


def _claimed(asked: Asked, work: Callable[[], HttpResponse]) -> HttpResponse:
    with transaction.atomic():
        if (known := _look(asked)) is not None:
            return known
        [[[until]]] = send(Statement(_CLAIM_IT, [*asked, None]))
    is_answered = False
    try:
        response = work()
        if is_answered := _is_kept(response):
            send(Statement(_ANSWER_CLAIM, [_sealed(response), asked.scope, until]))
    finally:
        if not is_answered:
            _give_up(asked, until)
    return response


def _give_up(asked: Asked, until: datetime) -> None:
    send(Statement(_GIVE_UP, [asked.scope, until]))


def _look(asked: Asked) -> HttpResponse | None:
    """The reply to a request that was answered. None: it is ours to answer in this transaction, or to claim."""
    lock = int.from_bytes(asked.scope[:8], signed=True)
    [[is_ours]], found = send(Statement(_LOCK, [lock]), Statement(_LOOK, [asked.scope]))
    if found:
        [[body_sha256, is_claimed, reply]] = found
        if body_sha256 != asked.body_sha256:
            raise KeyReused()
        if reply is not None:
            return _unsealed(reply)
        if is_claimed:
            raise InFlight()
    if not is_ours:
        raise InFlight()
    return None


def _is_kept(response: HttpResponse) -> bool:
    """Whether the reply is the last word: not a fault of ours, nor one that asks to come again."""
    status = response.status_code
    return status < 500 and status not in _NOT_KEPT and not response.has_header("Retry-After")


def _sealed(response: HttpResponse) -> str:
    headers = {name: response[name] for name in _HEADERS if response.has_header(name)}
    return seal(orjson.dumps([response.status_code, headers]) + b"\n" + response.content)


def _unsealed(reply: str) -> HttpResponse:
    head, _, content = unseal(reply).partition(b"\n")
    status, headers = orjson.loads(head)
    replayed: dict[str, Any] = headers | {"Idempotent-Replayed": "true"}
    return HttpResponse(content, status=status, headers=replayed)


def forget_expired(most: int = 10_000) -> int:
    """Delete what need not be kept any longer, so many rows in a statement; how many they were."""
    forgotten = 0
    while deleted := len(send(Statement(_EXPIRE, [most]))[0]):
        forgotten += deleted
    return forgotten
