"""Finishes or voids what died half-way between us and a PSP. The worker runs it; safe to repeat and in parallel."""

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from checkout.calls import calling
from checkout.connectors.base import (
    Attempt,
    CheckoutLink,
    ConnectorError,
    PaymentSnapshot,
    PaymentState,
    PspTimeout,
    PspUnavailable,
)
from checkout.matching import note_psp_objects
from checkout.models import Checkout
from checkout.purchase import PaymentDeclined, charge
from checkout.start import record_link
from checkout.states import move

log = logging.getLogger("rako.recovery")

State = Checkout.State
PATIENCE = timedelta(seconds=60)  # longer than any PSP call may take, so that no call is still under way
# How long a charge is asked for again. PSPs remember a request by its key for a day; but `find_attempt` looks for what
# was made around the attempt's time, and a buyer who was charged hours later would not know why.
ASK_AGAIN = timedelta(minutes=20)
# A run ends by then, and leaves the rest to the next one.
_RUN_SECONDS = 45
_BATCH = 100


def recover_checkouts() -> int:
    """Look at every checkout that is half-done for longer than `PATIENCE`; returns how many found their state."""
    return _each(_half_done(State.CREATING, State.EXPIRING, State.UNKNOWN), _recover)


def resolve_unknown_charges() -> tuple[int, int]:
    """Ask again for every charge whose outcome is not known, however lately: how many are known, how many not."""
    unknown = Checkout.objects.filter(state=State.UNKNOWN)
    return _each(unknown, _recover, at_most=None), unknown.count()


def expire_checkouts(*, at_most: int | None = _BATCH) -> int:
    """End open checkouts whose time is over: PSPs tell of theirs, but an event may be lost. Returns how many ended."""
    over = Checkout.objects.filter(state=State.OPEN, expires_at__lt=timezone.now() - PATIENCE)
    return _each(over, _expire, at_most=at_most)


def _half_done(*states: Checkout.State) -> QuerySet[Checkout]:
    return Checkout.objects.filter(state__in=states, updated_at__lt=timezone.now() - PATIENCE)


def _each(checkouts: QuerySet[Checkout], settle: Callable[[Checkout], bool], *, at_most: int | None = _BATCH) -> int:
    done, until = 0, time.monotonic() + _RUN_SECONDS
    silent: set[str | None] = set()  # the connections whose PSP did not answer: the rest of theirs can wait
    named = checkouts.order_by("updated_at").values_list("pk", "connection_id")
    for pk, connection_id in list(named[:at_most]):
        if at_most is not None and time.monotonic() > until:
            break
        if connection_id in silent:
            _to_the_end(pk)
            continue
        try:
            rows = Checkout.objects.select_related("connection", "merchant", "recommendation__offer", "session")
            done += settle(rows.get(pk=pk))
        except ConnectorError as error:
            log.warning("checkout %s stays as it is: %s", pk, error.code)
            if isinstance(error, PspTimeout | PspUnavailable):
                silent.add(connection_id)
        except Exception:  # one checkout that cannot be settled must not hold up the rest; it is logged and kept
            log.exception("checkout %s could not be settled", pk)
        else:
            continue
        _to_the_end(pk)
    return done


def _to_the_end(pk: str) -> None:
    """To the end of the queue: one PSP that is down must not starve the others."""
    Checkout.objects.filter(pk=pk).update(updated_at=timezone.now())


def _recover(checkout: Checkout) -> bool:
    assert checkout.connection is not None, "direct checkouts are never half-done"
    if checkout.state == State.UNKNOWN and _may_ask_again(checkout):
        return _ask_again(checkout)
    with calling(checkout.connection) as psp:
        if checkout.state == State.EXPIRING:
            closed = psp.expire_checkout(checkout.psp_id)
            return _close(checkout, closed)
        found = psp.find_attempt(Attempt(checkout.pk, checkout.psp_id, checkout.created_at))
    if found is None:
        return move(checkout, State.VOID)
    return _adopt(checkout, found)


def _may_ask_again(checkout: Checkout) -> bool:
    """Whether the charge may still be made, if it was not: what the buyer and the merchant allowed then holds now."""
    now = timezone.now()
    mandate = checkout.authorizations.filter(released_at=None).first()
    assert checkout.connection is not None, "direct checkouts are never half-done"
    return (
        bool(checkout.payment_method)
        and now < checkout.created_at + ASK_AGAIN
        and now < checkout.expires_at
        and (mandate is None or now < mandate.expires_at)
        and checkout.connection.status == "active"
    )


def _ask_again(checkout: Checkout) -> bool:
    """Send a charge's request once more, under its key: the PSP says what came of it, or does now what it was asked."""
    with contextlib.suppress(PaymentDeclined):
        charge(checkout)
    return checkout.state != State.UNKNOWN


def _adopt(checkout: Checkout, found: PaymentSnapshot) -> bool:
    """Take over what the PSP has. Success itself still comes from the authenticated event alone."""
    if found.state == PaymentState.OPEN and checkout.state == State.CREATING:
        record_link(checkout, CheckoutLink(found.psp_id, found.url, found.expires_at or checkout.expires_at))
        return True
    ends = {PaymentState.FAILED: State.FAILED, PaymentState.EXPIRED: State.EXPIRED, PaymentState.OPEN: State.OPEN}
    confirmation = found.payment_ref or found.psp_id
    known: dict[str, Any] = {"psp_id": found.psp_id, "confirmation": confirmation, "url": found.url}
    with transaction.atomic():
        moved = move(checkout, ends.get(found.state, State.PROCESSING), **({} if checkout.psp_id else known))
        if not moved:
            Checkout.objects.filter(pk=checkout.pk, psp_id="").update(**known)
        note_psp_objects(checkout, [*found.psp_ids])
    return moved


def _close(checkout: Checkout, state: PaymentState) -> bool:
    paid = state in (PaymentState.PENDING, PaymentState.SUCCEEDED)
    return move(checkout, State.PROCESSING if paid else State.EXPIRED)


def _expire(checkout: Checkout) -> bool:
    if checkout.connection is None:
        return move(checkout, State.EXPIRED, origin=State.OPEN)
    with calling(checkout.connection) as psp:
        state = psp.expire_checkout(checkout.psp_id)
    return _close(checkout, state)
