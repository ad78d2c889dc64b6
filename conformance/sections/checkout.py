"""Section 1: `POST /v1/checkout`, when it works."""

from conformance import psp
from conformance.rules import expect, must
from conformance.world import Deal, World

_FIELDS = {"transactionId", "status", "checkoutUrl", "backend", "mode", "amount", "currency"}
_FIELDS |= {"merchant", "offer", "session"}


@must("1")
def a_checkout_has_its_form(world: World) -> None:
    """A checkout answers with transaction, payment page, exact amount, merchant, offer and session."""
    deal = world.deal()
    found = world.checkout(deal)
    expect(set(found) >= _FIELDS, f"it lacks {sorted(_FIELDS - set(found))}")
    expect(found["mode"] == "checkout", f"mode is {found['mode']}")
    statuses = {"orchestrated": "awaiting_payment", "direct": "initiated"}
    expect(found["status"] == statuses.get(found["backend"]), f"status is {found['status']}")
    expect(found["backend"] == "direct" or found.get("paymentId"), "it has no paymentId")
    price = (deal.offer["price"], deal.offer["currency"])
    expect((found["amount"], found["currency"]) == price, f"the amount is {found['amount']} {found['currency']}")
    expect(found["merchant"]["id"] == deal.offer["merchantId"], "it is another merchant's")
    expect(found["offer"]["id"] == deal.offer["id"], "it is of another offer")
    expect(found["session"] == {"id": deal.session_id, "status": "checkout"}, f"the session is {found['session']}")


@must("1")
def a_checkout_moves_its_session(world: World) -> None:
    """The session is in `checkout` from then on, and has no conversion: a checkout URL is never proof of payment."""
    deal = world.deal()
    world.checkout(deal)
    found = world.session(deal.session_id)
    expect(found["session"]["status"] == "checkout", f"the session is {found['session']['status']}")
    expect(found["conversions"] == [], "it has a conversion")


@must("1")
def the_same_checkout_again_is_the_same(world: World) -> None:
    """Asked again for the same unpaid recommendation, it gives the same transaction and the same URL."""
    deal = world.deal()
    first, second = world.checkout(deal), world.checkout(deal)
    for name in ("transactionId", "checkoutUrl"):
        expect(first[name] == second[name], f"another {name}")


@must("1")
def a_session_has_one_live_checkout(world: World) -> None:
    """Another recommendation of the session gets another transaction, and the first page takes no payment any more."""
    deal = world.deal()
    first = world.checkout(deal)
    has_page = bool(world.subject.payment_form)
    expect(not has_page or psp.visit(first["checkoutUrl"]) == 200, "the first page does not answer")
    other = Deal(deal.session_id, world.recommend(deal.session_id, deal.offer)["recommendationId"], deal.offer)
    second = world.checkout(other)
    expect(first["transactionId"] != second["transactionId"], "two recommendations share a transaction")
    if has_page and first["checkoutUrl"] != second["checkoutUrl"]:
        status = psp.visit(first["checkoutUrl"])
        expect(status in {404, 410}, f"the first page still answers {status}")


@must("1", "payment_form")
def a_visit_of_the_page_is_no_sale(world: World) -> None:
    """A payment page that was opened, and not paid, makes no conversion."""
    deal = world.deal()
    status = psp.visit(world.checkout(deal)["checkoutUrl"])
    expect(status == 200, f"the page answers {status}")
    expect(world.session(deal.session_id)["conversions"] == [], "it made one")


@must("1", "payment_form")
def a_paid_page_makes_a_verified_conversion(world: World) -> None:
    """The buyer pays on the page, the processor's webhook proves it, and the session has a verified conversion."""
    deal = world.deal()
    psp.pay_on_page(world, world.checkout(deal))
    found = psp.await_conversion(world, deal.session_id)
    expect(found["verificationLevel"] == "orchestrated", f"its level is {found['verificationLevel']}")
    expect(found["transactionValue"] == deal.offer["price"], f"its value is {found['transactionValue']}")
    expect(found["status"] == "pending", f"it is {found['status']}")


@must("1")
def user_details_are_an_object(world: World) -> None:
    """`userDetails` is accepted as an object and as null; a text or a list is 400."""
    deal = world.deal()
    for details, status in (({"email": "buyer@example.com"}, 200), (None, 200), ("x", 400), (["x"], 400)):
        reply = world.agent.post("/v1/checkout", deal.chosen | {"userDetails": details})
        expect(reply.status == status, f"{details!r} is answered {reply.status}")


@must("1")
def user_details_are_limited(world: World) -> None:
    """`userDetails` of a megabyte are refused."""
    body = world.deal().chosen | {"userDetails": {"note": "x" * 2**20}}
    reply = world.agent.post("/v1/checkout", body)
    expect(reply.status in {400, 413}, f"they are answered {reply.status}")
