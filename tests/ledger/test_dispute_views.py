"""Disputes over the API: what each side may do, what both read, and what the conversion shows meanwhile."""

import hashlib

import pytest

from ledger.disputes import withdraw
from ledger.fraud_rules import Signal
from ledger.holds import place
from ledger.models import Dispute, Entry, Side
from tests.conftest import Api
from tests.factories import AgentKeyFactory
from tests.ledger.disputing import Kind, disputed, missing, sold


@pytest.fixture
def sale(db):
    return sold()


@pytest.fixture
def merchant(sale, as_merchant):
    return as_merchant(sale.merchant)


@pytest.fixture
def builder(sale):
    return Api(AgentKeyFactory(agent=sale.agent).secret)


def answer(reply):
    assert reply.status_code == 200, reply.content
    return reply.json()


def test_a_dispute_tells_all_that_is_known_of_it(sale, builder):
    body = {"kind": "wrong_amount", "claimedValue": 150, "message": "two seats"}

    told = answer(builder.post(f"/v1/conversions/{sale.pk}/disputes", body))

    said = told.pop("statements")
    assert [(each["side"], each["kind"], each["text"]) for each in said] == [("builder", "message", "two seats")]
    assert {name: told[name] for name in ("kind", "state", "openedBy", "conversionId", "claimedValue", "decision")} == {
        "kind": "wrong_amount",
        "state": "awaiting_merchant",
        "openedBy": "builder",
        "conversionId": sale.pk,
        "claimedValue": 150,
        "decision": None,
    }
    assert (told["endedAt"], told["dueAt"] > told["openedAt"]) == (None, True)


def test_both_sides_read_what_both_say(sale, builder, merchant):
    path = f"/v1/disputes/{disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150).pk}"
    document, text = {"description": "the booking", "sha256": "ab" * 32}, {"description": "the page", "text": "2 seats"}

    answer(merchant.post(f"{path}/messages", {"text": "one seat"}))
    answer(merchant.post(f"{path}/evidence", document))
    answer(builder.post(f"{path}/evidence", text))

    seen = answer(builder.get(path))
    assert seen == answer(merchant.get(path))
    assert [(each["side"], each["kind"]) for each in seen["statements"]] == [
        ("merchant", "message"),
        ("merchant", "evidence"),
        ("builder", "evidence"),
    ]
    assert seen["statements"][2]["sha256"] == hashlib.sha256(b"2 seats").hexdigest()


def test_what_is_said_is_in_no_entry(sale, builder):
    builder.post(
        f"/v1/conversions/{sale.pk}/disputes", {"kind": "wrong_amount", "claimedValue": 1, "message": "SECRET"}
    )

    bodies = b"".join(bytes(entry.body) for entry in Entry.objects.all())
    assert b"SECRET" not in bodies
    assert b"content_sha256" in bodies


@pytest.mark.parametrize(
    ("side", "kind", "status", "code"),
    [
        ("builder", "merchant_dispute", 403, "wrong_key_kind"),
        ("merchant", "clawback", 403, "wrong_key_kind"),
        ("builder", "clawback", 409, "cannot_dispute"),
        ("builder", "missing_sale", 400, "invalid_field"),
        ("builder", "wrong_amount", 400, "missing_fields"),
    ],
)
def test_what_is_refused_says_why(sale, builder, merchant, side, kind, status, code):
    client = builder if side == "builder" else merchant

    reply = client.post(f"/v1/conversions/{sale.pk}/disputes", {"kind": kind})

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (status, code)
    assert not Dispute.objects.exists()


def test_a_sale_in_dispute_is_not_disputed(sale, builder, merchant):
    disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)

    reply = merchant.post(f"/v1/conversions/{sale.pk}/disputes", {"kind": "merchant_dispute"})

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "dispute_exists")


def test_a_merchant_claims_no_missing_sale(merchant):
    assert merchant.post("/v1/disputes", {}).status_code == 403


def test_an_order_of_a_payments_own_space_is_not_claimed(sale, builder):
    claim = {"sessionId": sale.session_id, "recommendationId": sale.recommendation_id, "claimedValue": 10}
    claim |= {"occurredAt": "2026-01-01T00:00:00Z", "orderReference": "aap:x"}

    assert builder.post("/v1/disputes", claim).json() == {"error": "orderReference must not start with aap:"}


@pytest.mark.parametrize("sha256", ["ab", "AB" * 32, "zz" * 32, "ab" * 32 + "\n", 5, "x" * 65])
def test_a_hash_has_its_form(sale, builder, sha256):
    dispute = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)

    reply = builder.post(f"/v1/disputes/{dispute.pk}/evidence", {"description": "x", "sha256": sha256})

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (400, "invalid_field")


@pytest.mark.parametrize("act", ["messages", "evidence", "withdraw", "accept"])
@pytest.mark.parametrize("dispute_id", ["01JZZZZZZZZZZZZZZZZZZZZZZZ", "x", "%27"])
def test_an_unknown_dispute_is_not_found(builder, act, dispute_id):
    assert builder.post(f"/v1/disputes/{dispute_id}/{act}", {"text": "x", "description": "x"}).status_code == 404


def test_withdrawn_and_accepted_disputes_say_so(sale, builder, merchant):
    first = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)
    withdrawn = answer(builder.post(f"/v1/disputes/{first.pk}/withdraw"))
    second = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 120)
    refused = builder.post(f"/v1/disputes/{second.pk}/accept")
    accepted = answer(merchant.post(f"/v1/disputes/{second.pk}/accept"))

    assert (withdrawn["state"], withdrawn["dueAt"], refused.status_code) == ("withdrawn", None, 403)
    assert (accepted["state"], accepted["decision"]) == (
        "decided",
        {"outcome": "upheld", "value": 120, "decidedBy": "merchant", "reason": "accepted by the merchant"},
    )


def test_what_has_ended_is_a_conflict(sale, builder):
    dispute = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150)
    builder.post(f"/v1/disputes/{dispute.pk}/withdraw")

    replies = [builder.post(f"/v1/disputes/{dispute.pk}/{act}", {"text": "x"}) for act in ("withdraw", "messages")]

    assert [(each.status_code, each.headers["X-Error-Code"]) for each in replies] == [(409, "dispute_moved")] * 2


def test_paging_shows_every_dispute_once(sale, builder, merchant):
    first = withdraw(disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150), Side.BUILDER)
    second, others = disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 120), missing()

    page = answer(builder.get("/v1/disputes", limit=1))
    last = answer(builder.get("/v1/disputes", limit=1, cursor=page["nextCursor"]))

    seen = [row["disputeId"] for row in page["disputes"] + last["disputes"]]
    assert (seen, last.get("nextCursor")) == ([second.pk, first.pk], None)
    assert others.pk not in {row["disputeId"] for row in answer(merchant.get("/v1/disputes"))["disputes"]}


def test_both_parties_see_that_a_sale_is_held_and_by_which_rule(sale, builder, merchant):
    free = answer(builder.get(f"/v1/conversions/{sale.pk}"))
    place(sale.pk, Signal("velocity_day", 60, 50))
    place(sale.pk, Signal("click_flood", 400, 300))

    told = [answer(client.get(f"/v1/conversions/{sale.pk}")) for client in (builder, merchant)]
    listed = answer(builder.get("/v1/conversions"))["conversions"]

    assert (free["isHeld"], free["heldBy"]) == (False, [])
    shared = [{name: value for name, value in sale.items() if not name.endswith("Number")} for sale in told]
    assert shared[0] == shared[1]
    assert told[0] == listed[0] | {"milestones": []}
    assert (told[0]["isHeld"], told[0]["heldBy"]) == (True, ["click_flood", "velocity_day"])


def test_nobody_reads_what_a_rule_measured(sale, builder, merchant):
    hold = place(sale.pk, Signal("velocity_day", 60, 50))
    entry = Entry.objects.get(stream_id=hold.pk)

    assert {client.get(f"/v1/ledger/entries/{entry.entry_id}").status_code for client in (builder, merchant)} == {404}
