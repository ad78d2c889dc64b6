"""The states of a checkout: one table of moves, one function that makes them, and an entry in the ledger for each.

Nothing else assigns `Checkout.state`. Rows are locked in one order everywhere: webhook receipt, checkout, session,
conversion; the entry is appended after the checkout's row was changed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from checkout.authorizations import release_mandates
from checkout.models import Checkout
from ledger.models import Entry
from rako.core.facts import Appended, Fact, state, stating_if
from rako.core.postgres import Statement, send, send_each
from rako.core.rows import updating

State = Checkout.State

# What may follow on what. Success comes through from any state, for a buyer may pay a page that was just closed; what
# is not success never undoes what came after it, so events may arrive in any order. A page that expires after a
# declined card is told of twice, as failed and as expired, in any order: expiry stands.
# But for `open` and `expiring`, which may alternate, no state is entered twice: the entries' keys rely on that.
MOVES: dict[Checkout.State, frozenset[Checkout.State]] = {
    State.CREATING: frozenset(
        {
            *(State.OPEN, State.PROCESSING, State.UNKNOWN),
            *(State.SUCCEEDED, State.FAILED, State.EXPIRED, State.VOID),
        }
    ),
    State.OPEN: frozenset({State.EXPIRING, State.PROCESSING, State.SUCCEEDED, State.FAILED, State.EXPIRED}),
    State.EXPIRING: frozenset({State.OPEN, State.PROCESSING, State.SUCCEEDED, State.FAILED, State.EXPIRED}),
    State.UNKNOWN: frozenset({State.OPEN, State.PROCESSING, State.SUCCEEDED, State.FAILED, State.EXPIRED, State.VOID}),
    State.PROCESSING: frozenset({State.SUCCEEDED, State.FAILED}),
    State.FAILED: frozenset({State.SUCCEEDED, State.EXPIRED}),
    State.EXPIRED: frozenset({State.SUCCEEDED}),
    State.VOID: frozenset({State.SUCCEEDED}),
    State.SUCCEEDED: frozenset(),
}

_STARTED = "checkout.started"
# Each state's kind of entry. `expiring` has none, nor has the way back from it: it lasts for one call to the PSP, the
# buyer could pay before it and may be able to after, and what the call came to is told.
_KINDS = {
    State.OPEN: "checkout.opened",
    State.PROCESSING: "checkout.processing",
    State.UNKNOWN: "checkout.unknown",
    State.SUCCEEDED: "checkout.succeeded",
    State.FAILED: "checkout.failed",
    State.EXPIRED: "checkout.expired",
    State.VOID: "checkout.voided",
}
_CHARGED_NOTHING = (State.FAILED, State.EXPIRED, State.VOID)


def start(checkout: Checkout, *, authorization: str | None = None) -> None:
    """Insert a new checkout together with its first entry; `authorization` is the digest of the mandate it uses.

    Raises IntegrityError `checkout_one_live_per_session`.
    """
    told: dict[str, Any] = {"before": None, "to": checkout.state, "at": checkout.created_at, "found": {}}
    fact = _fact(checkout, _STARTED, **told, authorization_used=authorization)
    checkout.started = state(fact, along_with=checkout)


def started(checkout: Checkout) -> Appended | None:
    """The entry of a checkout's start, from which a receipt is made; None if it is older than the ledger."""
    if checkout.started is None:
        row = Entry.objects.filter(idempotency_key=_key(checkout, _STARTED)).first()
        if row is not None:
            leaf_hash = bytes(row.leaf_hash)
            checkout.started = Appended(row.pk, row.entry_id, row.stream_seq, row.recorded_at, leaf_hash, is_new=False)
    return checkout.started


# No savepoint inside a caller's transaction: whatever fails here ends that one, too.
@transaction.atomic(savepoint=False)
def move(
    checkout: Checkout,
    to: Checkout.State,
    *,
    origin: Checkout.State | None = None,
    evidence_sha256: str | None = None,
    occurred_at: datetime | None = None,
    **found: Any,
) -> bool:
    """Compare and swap the state, set the columns `found` with it, and append the entry; False if that cannot be.

    The checkout must be in `origin`, the state of the caller's row unless given: somebody else may have moved it
    meanwhile. A move to a state in which nothing was charged gives the mandate back.
    """
    before = State(origin or checkout.state)
    if to not in MOVES[before]:
        return False
    change, told = _moving(checkout, before, to, evidence_sha256, occurred_at, found)
    if to not in _KINDS or (before, to) == (State.EXPIRING, State.OPEN):
        [won] = send(change)
    elif to in _CHARGED_NOTHING and checkout.mode == Checkout.Mode.AUTONOMOUS:
        [won] = send(change)
        if won:  # the mandate is looked at once the checkout is ours
            state(_fact(checkout, _KINDS[to], **told, authorization_released=release_mandates(checkout)))
    else:
        [won] = send(stating_if(change, _fact(checkout, _KINDS[to], **told)))
    if won:
        _moved(checkout, to, told)
    return bool(won)


def may_succeed(checkout: Checkout) -> bool:
    """Whether success may follow on its state."""
    return State.SUCCEEDED in MOVES[State(checkout.state)]


class Success(NamedTuple):
    """That a checkout was paid, and by which payment."""

    checkout: Checkout
    confirmation: str
    evidence_sha256: str
    occurred_at: datetime


def succeed_all(paid: Sequence[Success]) -> None:
    """Move checkouts, each another one, to success in one round trip.

    The caller holds their rows, and success may follow on the state of each.
    """
    to, changes, told = State.SUCCEEDED, [], []
    for checkout, confirmation, sha256, occurred_at in paid:
        change, tells = _moving(
            checkout, State(checkout.state), to, sha256, occurred_at, {"confirmation": confirmation}
        )
        changes.append(stating_if(change, _fact(checkout, _KINDS[to], **tells)))
        told.append(tells)
    for (checkout, *_), tells, won in zip(paid, told, send_each(changes), strict=True):
        assert won, "nobody else moves a checkout whose row we hold"
        _moved(checkout, to, tells)


def _moving(
    checkout: Checkout,
    before: Checkout.State,
    to: Checkout.State,
    evidence_sha256: str | None,
    occurred_at: datetime | None,
    found: dict[str, Any],
) -> tuple[Statement, dict[str, Any]]:
    """The change of a checkout's row, and what its entry tells."""
    now = timezone.now()
    found |= {"updated_at": now} if to == State.UNKNOWN else {"updated_at": now, "payment_method": None}
    change = updating(Checkout, checkout.pk, {"state": to, **found}, only_if={"state": before})
    return change, {
        "before": before,
        "to": to,
        "at": occurred_at or now,
        "evidence_sha256": evidence_sha256,
        "found": found,
    }


def _moved(checkout: Checkout, to: Checkout.State, told: Mapping[str, Any]) -> None:
    checkout.state = to
    for name, value in told["found"].items():
        setattr(checkout, name, value)


def _fact(
    checkout: Checkout,
    kind: str,
    *,
    before: Checkout.State | None,
    to: str,
    at: datetime,
    found: Mapping[str, Any],
    evidence_sha256: str | None = None,
    **more: str | None,
) -> Fact:
    """The fact that a checkout comes to a state, `found` being what is set with it."""
    recommendation = checkout.recommendation
    told_before = State.OPEN if before == State.EXPIRING else before  # what the entry before this one says
    at_psp = {name: found.get(name, getattr(checkout, name)) for name in ("psp_id", "confirmation", "failure")}
    mandate = {name: digest for name, digest in more.items() if digest is not None}
    return Fact(
        stream_id=checkout.pk,
        kind=kind,
        facts={
            "checkout_id": checkout.pk,
            "session_id": checkout.session_id,
            "recommendation_id": checkout.recommendation_id,
            "merchant_id": checkout.merchant_id,
            "offer_id": recommendation.offer_id,
            "mode": str(checkout.mode),
            "backend": str(checkout.backend),
            "amount_minor": checkout.amount_minor,
            "currency": checkout.currency,
            "state_before": told_before and str(told_before),
            "state": str(to),
        },
        for_merchant={name: value for name, value in at_psp.items() if value} or None,
        # The mandate's digest is the agent's: who knows the rest could try the buyer's limit until it fits.
        for_agent={"agent_id": recommendation.agent_id, **mandate},
        evidence_sha256=evidence_sha256,
        occurred_at=at,
        idempotency_key=_key(checkout, kind),
        merchant_id=checkout.merchant_id,
        agent_id=recommendation.agent_id,
    )


def _key(checkout: Checkout, kind: str) -> str:
    # No state is told of twice (see MOVES), so that PostgreSQL itself holds one entry to each.
    return f"{kind}:{checkout.pk}"
