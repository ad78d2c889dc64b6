"""The calls that make, look at and end payments.

A payment id is derived from the attempt, so that a repeat is refused (HE_01): then the payment that exists is looked
at, and if it is the one that was asked for, it is the answer.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from checkout.connectors.base import CheckoutRequest, KeyReuseMismatch, NotPayable, PspFault, StoredCharge
from checkout.connectors.hyperswitch import amounts, errors, ids, reading
from checkout.connectors.hyperswitch.client import Client
from checkout.connectors.hyperswitch.reading import Body
from checkout.connectors.hyperswitch.snapshots import readable
from checkout.connectors.hyperswitch.statuses import CAPTURED, STEP_UP_REASON
from checkout.connectors.metadata import fitted

log = logging.getLogger("rako.hyperswitch")

SHORTEST, LONGEST = timedelta(seconds=60), timedelta(seconds=7_890_000)
STEP_UP_LIFE = timedelta(hours=1)
_LONGEST_DESCRIPTION = 255
_STORED = re.compile(r"([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})\Z", re.ASCII)


def link_content(request: CheckoutRequest, profile_id: str) -> dict[str, Any]:
    """What to send for a payment link. Raises NotPayable for an amount or a time that cannot be asked for."""
    life = min(request.expires_at - timezone.now(), LONGEST)
    if life < SHORTEST:
        log.warning("attempt %s would have a link of less than a minute", request.attempt_id)
        raise NotPayable()
    return _content(request, profile_id, ids.payment_of(request.attempt_id)) | _link(request.success_url, life)


def charge_content(request: StoredCharge, profile_id: str) -> dict[str, Any]:
    """What to send for a charge of a stored method. Raises NotPayable unless it is "<customer>/<method>"."""
    stored = _STORED.match(request.payment_method)
    if stored is None:
        log.warning("attempt %s names no customer and payment method", request.attempt_id)
        raise NotPayable()
    return _content(request, profile_id, ids.payment_of(request.attempt_id)) | {
        "confirm": True,
        "off_session": True,
        "customer_id": stored[1],
        "recurring_details": {"type": "payment_method_id", "data": stored[2]},
    }


def step_up_content(request: StoredCharge, profile_id: str) -> dict[str, Any]:
    """What to send for the link on which the buyer pays what could not be charged without them."""
    done = f"{settings.RAKO_BASE_URL}/checkout/{request.attempt_id}/done"
    return _content(request, profile_id, ids.step_up_of(request.attempt_id)) | _link(done, STEP_UP_LIFE)


def make(client: Client, content: Mapping[str, Any]) -> Body:
    """The payment of this content: made now, or made before. Raises KeyReuseMismatch if another has its id."""
    try:
        made = client.post("/payments", content)
    except errors.Duplicate:
        with errors.in_effect():
            found = look(client, content["payment_id"])
            if found is None:
                raise PspFault() from None
        if not _is_same(found, content):
            raise KeyReuseMismatch() from None
        return found
    with readable():
        return reading.body(made)


def look(client: Client, payment_id: str) -> Body | None:
    """A payment as it stands at its processor now; None if there is none with this id."""
    if not ids.is_payment(payment_id):
        return None
    try:
        found = client.get(f"/payments/{quote(payment_id, safe='')}", {"force_sync": "true"})
    except errors.Missing:
        return None
    with readable():
        return reading.body(found)


def cancel(client: Client, payment_id: str, reason: str) -> Body | None:
    """End a payment that takes no money yet. None if it cannot be: it is over, under way, or not there."""
    if not ids.is_payment(payment_id):
        return None
    try:
        ended = client.post(f"/payments/{quote(payment_id, safe='')}/cancel", {"cancellation_reason": reason})
    except errors.Refused:
        return None
    with readable():
        return reading.body(ended)


def expires_at(payment: Body, content: Mapping[str, Any]) -> datetime:
    """When a link closes. Raises Unreadable."""
    told = reading.optional_moment(payment, "expires_on")
    return told or timezone.now() + timedelta(seconds=content["session_expiry"])


def _content(request: CheckoutRequest | StoredCharge, profile_id: str, payment_id: str) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "profile_id": profile_id,
        "amount": amounts.to_psp(request.money),
        "currency": request.money.currency,
        "capture_method": "automatic",
        "merchant_order_reference_id": request.attempt_id,
        "description": request.item_name[:_LONGEST_DESCRIPTION],
        "metadata": fitted(request.metadata),
    }


def _link(return_url: str, life: timedelta) -> dict[str, Any]:
    return {
        "payment_link": True,
        "confirm": False,
        "return_url": return_url,
        # Rounded down: a link that closes early is better than one that outlives its session.
        "session_expiry": int(life.total_seconds()),
    }


def _is_same(found: Body, content: Mapping[str, Any]) -> bool:
    """Whether a payment is what was asked for. Merchants may add metadata of their own, and let go of none of ours."""
    is_charge, kept = content["confirm"], found.get("metadata")
    return (
        not (isinstance(found.get("payment_link"), dict) if is_charge else found.get("off_session") is True)
        and all(found.get(name) == content[name] for name in ("amount", "currency"))
        and (not is_charge or found.get("customer_id") in (None, content["customer_id"]))
        and isinstance(kept, dict)
        and all(kept.get(name) == value for name, value in content["metadata"].items())
    )


def look_for(client: Client, attempt_id: str) -> Body | None:
    """What an attempt has come to; None if no call of it ever arrived."""
    found = look(client, ids.payment_of(attempt_id))
    if found is not None and found.get("status") == "cancelled":
        return look(client, ids.step_up_of(attempt_id)) or found
    return found


def was_replaced(found: Body) -> bool:
    """Whether a charge was cancelled to have a link take its place."""
    return found.get("status") == "cancelled" and found.get("cancellation_reason") == STEP_UP_REASON


def whole(client: Client, listed: Body) -> Body:
    """A payment from a list. One of ours that brought money is looked at again if the list leaves out what counts."""
    payment_id = listed.get("payment_id")
    is_ours = isinstance(payment_id, str) and ids.attempt_of(payment_id) != ""
    told = (listed.get("metadata"), listed.get("amount_received"))
    if is_ours and listed.get("status") in CAPTURED and None in told:
        return look(client, str(payment_id)) or listed
    return listed
