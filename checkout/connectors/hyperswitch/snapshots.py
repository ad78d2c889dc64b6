"""Bodies of replies as snapshots. What cannot be read is PspFault."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.utils import timezone

from checkout.connectors.base import (
    ConnectionRevoked,
    ConnectionSecrets,
    DisputeSnapshot,
    PaymentSnapshot,
    PaymentState,
    PspFault,
    RefundSnapshot,
    RefundState,
)
from checkout.connectors.hyperswitch import ids, reading, statuses
from checkout.connectors.hyperswitch.reading import Body, Unreadable
from rako.core.money import Money

log = logging.getLogger("rako.hyperswitch")


@contextmanager
def readable() -> Iterator[None]:
    """Raises PspFault for a reply that is not of the documented shape."""
    try:
        yield
    except Unreadable as error:
        log.warning("a reply of Hyperswitch cannot be read: %s", error)
        raise PspFault() from error


def payment(content: object, connection: ConnectionSecrets, *, is_listed: bool = False) -> PaymentSnapshot:
    """A payment. Lists may leave refunds out: that says nothing of them. Raises PspFault.

    Raises ConnectionRevoked for a payment of another account: the key is not the one it was taken for.
    """
    with readable():
        found = reading.body(content)
        check_account(found, connection)
        payment_id = reading.text(found, "payment_id")
        state = statuses.payment_state(found, timezone.now())
        money = _money(found, state)
        return PaymentSnapshot(
            psp_id=payment_id,
            state=state,
            payment_ref=payment_id,
            psp_ids=ids.family(payment_id),
            money=money,
            created_at=reading.moment(found, "created"),
            is_live=connection.is_live,
            attempt_id=_attempt(found, payment_id),
            metadata=reading.metadata(found),
            refunded_minor=_refunded(found, money, is_listed=is_listed),
            status=reading.text(found, "status"),
            url=page_url(found),
            expires_at=reading.optional_moment(found, "expires_on"),
        )


def refund(content: Body) -> RefundSnapshot:
    """A refund. Raises Unreadable."""
    return RefundSnapshot(
        refund_id=reading.text(content, "refund_id"),
        payment_ref=reading.text(content, "payment_id"),
        state=statuses.refund_state(content),
        money=reading.money(content, "amount"),
        created_at=reading.moment(content, "created_at"),
        status=reading.text(content, "status"),
    )


def dispute(content: Body) -> DisputeSnapshot:
    """A dispute. Raises Unreadable."""
    return DisputeSnapshot(
        dispute_id=reading.text(content, "dispute_id"),
        payment_ref=reading.text(content, "payment_id"),
        state=statuses.dispute_state(content),
        money=reading.money(content, "amount"),
        created_at=reading.moment(content, "created_at"),
        status=reading.text(content, "dispute_status"),
    )


def check_account(found: Body, connection: ConnectionSecrets) -> None:
    """Raise ConnectionRevoked for a body that names another account than the connection's."""
    if found.get("merchant_id", connection.account_id) != connection.account_id:
        log.error("the key of connection %s belongs to another account", connection.connection_id)
        raise ConnectionRevoked()


def page_url(found: Body) -> str:
    """Where the buyer goes: to the link, or to the bank's question. "" if there is nowhere to go."""
    link, action = found.get("payment_link"), found.get("next_action")
    if isinstance(link, dict):
        return _web(link.get("link"))
    return _web(action.get("redirect_to_url")) if isinstance(action, dict) else ""


def _web(url: object) -> str:
    """An address that a browser may be sent to, "" for anything else."""
    if not isinstance(url, str) or len(url) > 2000 or not url.isprintable() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in {"http", "https"} and parts.hostname else ""


def _attempt(found: Body, payment_id: str) -> str:
    attempt_id = ids.attempt_of(payment_id)
    reference = reading.optional_text(found, "merchant_order_reference_id")
    return attempt_id if reference in ("", attempt_id) else ""


def _money(found: Body, state: PaymentState) -> Money:
    """What was received once something was, before that what is to be paid."""
    is_told = state == PaymentState.SUCCEEDED and found.get("amount_received") is not None
    return reading.money(found, "amount_received" if is_told else "amount")


def _refunded(found: Body, money: Money, *, is_listed: bool) -> int | None:
    if found.get("status") == "cancelled_post_capture":
        return money.amount_minor
    if is_listed and found.get("refunds") is None:
        return None
    made = reading.bodies(found.get("refunds"))
    given = [reading.money(one, "amount") for one in made if statuses.refund_state(one) == RefundState.SUCCEEDED]
    return sum(amount.amount_minor for amount in given)
