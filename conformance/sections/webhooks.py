"""Section 1: payment events are authenticated by the processor's signature over the raw body."""

import json

from conformance import psp
from conformance.client import Reply
from conformance.rules import expect, must
from conformance.world import World, fresh, only


def _invalid(world: World, payment: psp.Payment, reply: Reply) -> None:
    """It was refused, and the session has nothing."""
    reply.refused(400, "Invalid signature")
    expect(world.session(payment.deal.session_id)["conversions"] == [], "it made a conversion")


@must("1", "webhook")
def a_signed_event_makes_a_conversion(world: World) -> None:
    """An authentic event of a payment makes a verified conversion, and says so."""
    payment = psp.payment(world)
    told = psp.deliver(world, payment.event).accepted()
    wanted = {"received": True, "status": "conversion_recorded", "verification": "verified"}
    expect({name: told.get(name) for name in wanted} == wanted, f"it answers {told}")
    found = only(world.session(payment.deal.session_id)["conversions"], "conversions")
    expect(found["conversionId"] == told["conversionId"], "the session shows another conversion")
    expect(found["verificationLevel"] == "orchestrated", f"its level is {found['verificationLevel']}")
    expect(found["attributionPath"] == "aap_flow", f"its path is {found['attributionPath']}")


@must("1", "webhook")
def an_unsigned_event_is_refused(world: World) -> None:
    """Without a signature: 400 `Invalid signature`, and nothing happens."""
    payment = psp.payment(world)
    _invalid(world, payment, psp.deliver(world, payment.event, header=""))


@must("1", "webhook")
def a_wrong_signature_is_refused(world: World) -> None:
    """Signed with another secret, or with nonsense for a signature: 400 `Invalid signature`."""
    payment = psp.payment(world)
    _invalid(world, payment, psp.deliver(world, payment.event, secret=fresh("secret")))
    for header in ("x", "t=1,v1=", "t=1,v1=" + "0" * 64, "v1=" + "0" * 64):
        _invalid(world, payment, psp.deliver(world, payment.event, header=header))


@must("1", "webhook")
def an_altered_body_is_refused(world: World) -> None:
    """The signature is over the raw body: one that was altered by so much as a space is refused."""
    payment = psp.payment(world)
    body = json.dumps(payment.event).encode()
    _invalid(world, payment, psp.deliver(world, payment.event, body=body + b" "))


@must("3", "webhook")
def an_old_signature_is_refused(world: World) -> None:
    """A signature from an hour ago, or from an hour ahead, is refused: deliveries cannot be replayed for ever."""
    payment = psp.payment(world)
    _invalid(world, payment, psp.stale(world, payment.event))
    _invalid(world, payment, psp.deliver(world, payment.event, age=-3600))


@must("3", "webhook")
def a_replayed_event_counts_once(world: World) -> None:
    """The same event again is a `duplicate`."""
    payment = psp.payment(world)
    psp.deliver(world, payment.event).accepted()
    again = psp.deliver(world, payment.event).accepted()
    expect(again["status"] == "duplicate", f"it is {again['status']}")
    only(world.session(payment.deal.session_id)["conversions"], "conversions")


@must("3", "webhook")
def a_payment_told_of_twice_counts_once(world: World) -> None:
    """Another event about the same payment makes no second conversion."""
    payment = psp.payment(world)
    first = psp.deliver(world, payment.event).accepted()
    again = psp.deliver(world, payment.saying()).accepted()
    expect(again["status"] != "conversion_recorded", "it is recorded again")
    found = only(world.session(payment.deal.session_id)["conversions"], "conversions")
    expect(found["conversionId"] == first["conversionId"], "it is another conversion")


@must("1", "webhook")
def an_unknown_event_is_ignored(world: World) -> None:
    """An authentic event that says nothing of a payment is `ignored`."""
    payment = psp.payment(world)
    told = psp.deliver(world, payment.event | {"type": "something.happened"}).accepted()
    expect(told["status"] == "ignored", f"it is {told['status']}")


@must("1", "webhook")
def an_unknown_payment_is_unmatched(world: World) -> None:
    """A payment that belongs to no checkout is `unmatched`, and makes no conversion."""
    payment = psp.payment(world)
    nothing = {"aap_checkout_id": "", "aap_recommendation_id": "", "aap_session_id": "", "aap_code": ""}
    told = psp.deliver(world, payment.saying(id=fresh("cs"), metadata=nothing)).accepted()
    expect(told["status"] == "unmatched", f"it is {told['status']}")


@must("3", "webhook")
def a_report_and_a_payment_are_one_sale(world: World) -> None:
    """The merchant's report of a sale that a payment proved is attached to it: one conversion."""
    payment = psp.payment(world)
    proven = psp.deliver(world, payment.event).accepted()
    reported = world.sell(payment.deal)
    expect(reported["conversionId"] == proven["conversionId"], "they are two")


@must("1", "webhook")
def a_wrong_webhook_address_is_not_found(world: World) -> None:
    """An event for a connection that is not there is 404."""
    body = json.dumps(psp.payment(world).event).encode()
    headers = {world.webhook.header: psp.signature(body, world.webhook.secret)}
    path = world.webhook.path.rpartition("/")[0]
    world.stranger.send("POST", f"{path}/x", body, headers=headers).refused(404)
