"""Section 3: what an authentic payment must hold before it is a conversion."""

from typing import Any

from conformance import psp
from conformance.rules import expect, must
from conformance.world import World, unknown_id


def _rejected(world: World, payment: psp.Payment, event: dict[str, Any], *statuses: str) -> None:
    """It is no conversion, by name, and the session has none."""
    told = psp.deliver(world, event).accepted()
    expect(told["status"] in (statuses or ("rejected",)), f"it is {told['status']}")
    if told["status"] == "rejected":
        expect(told.get("failedCheck"), "the failed check is not named")
    expect(world.session(payment.deal.session_id)["conversions"] == [], "it made a conversion")


@must("3", "webhook")
def the_amount_is_checked(world: World) -> None:
    """A payment of another amount than the code's is rejected, be it a penny more or less."""
    for change in (1, -1):
        payment = psp.payment(world)
        amount = payment.event["data"]["object"]["amount_total"]
        _rejected(world, payment, payment.saying(amount_total=amount + change))


@must("3", "webhook")
def the_currency_is_checked(world: World) -> None:
    """A payment in another currency than the code's is rejected."""
    payment = psp.payment(world)
    known = payment.event["data"]["object"]["currency"]
    other = "EUR" if known.upper() != "EUR" else "USD"
    _rejected(world, payment, payment.saying(currency=other.lower() if known.islower() else other))


@must("3", "webhook")
def the_code_is_checked(world: World) -> None:
    """A payment whose metadata names a code that was not signed is rejected."""
    payment = psp.payment(world)
    text = payment.deal.offer["aapCode"]
    forged = text[:-2] + ("AA" if text[-2:] != "AA" else "BB")
    _rejected(world, payment, payment.saying(metadata={"aap_code": forged}))


@must("3", "webhook")
def code_and_sale_must_agree(world: World) -> None:
    """A payment whose metadata names another merchant, offer or session than its checkout is rejected."""
    for name, like in (("aap_merchant_id", "merchantId"), ("aap_offer_id", "id")):
        payment = psp.payment(world)
        foreign = unknown_id(payment.deal.offer[like])
        _rejected(world, payment, payment.saying(metadata={name: foreign}))
    payment = psp.payment(world)
    _rejected(world, payment, payment.saying(metadata={"aap_session_id": world.search()["sessionId"]}))


@must("3", "webhook")
def an_unpaid_page_is_no_sale(world: World) -> None:
    """A completed page that is not paid makes no conversion."""
    payment = psp.payment(world)
    event = payment.saying(payment_status="unpaid")
    _rejected(world, payment, event, "rejected", "ignored", "unmatched")


@must("3", "webhook")
def another_accounts_payment_is_refused(world: World) -> None:
    """An event of another account at the processor is no sale of this merchant's."""
    payment = psp.payment(world)
    reply = psp.deliver(world, payment.event | {"account": unknown_id(world.webhook.account)})
    expect(reply.status == 400 or reply.json.get("status") in {"rejected", "unmatched"}, f"it is {reply.text[:80]}")
    expect(world.session(payment.deal.session_id)["conversions"] == [], "it made a conversion")


@must("3", "webhook")
def a_sold_session_is_sold(world: World) -> None:
    """Another payment of a session that was sold, of the same page even, makes no second conversion."""
    payment = psp.payment(world)
    psp.deliver(world, payment.event).accepted()
    other = psp.paid_event(world, payment.deal, payment.checkout)
    told = psp.deliver(world, other).accepted()
    expect(told["status"] != "conversion_recorded", "another payment of the same checkout is recorded")
    expect(len(world.session(payment.deal.session_id)["conversions"]) == 1, "the session has two")
