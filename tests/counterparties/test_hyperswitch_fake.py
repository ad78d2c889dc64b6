"""The fake of Hyperswitch enforces what Hyperswitch documents: each fact, over HTTP, by a plain client."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from tests.counterparties.hyperswitch import ControlError, HyperswitchCounterparty, Merchant
from tests.counterparties.hyperswitch.client import CHARGE, LINK, STORED, Client, refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINK = "http://127.0.0.1:9/hook"
ID = "pay_01JEXAMPLE0000000000000000"


@pytest.fixture
def psp() -> Iterator[HyperswitchCounterparty]:
    with HyperswitchCounterparty(clock=lambda: NOON) as running:
        yield running


@pytest.fixture
def shop(psp: HyperswitchCounterparty) -> Merchant:
    return psp.add_merchant(SINK)


@pytest.fixture
def api(psp: HyperswitchCounterparty, shop: Merchant) -> Client:
    return Client(psp, shop.api_key)


def types(psp: HyperswitchCounterparty) -> list[str]:
    return [event["event_type"] for event in psp.event_list()]


def test_only_a_living_key_of_this_mode_opens(psp, shop, api):
    psp.revoke_key(shop.api_key)

    assert refusal(api.get("/payments/list")) == (401, "IR_01")
    assert refusal(Client(psp, "prod_other").get("/payments/list")) == (401, "IR_01")
    assert requests.get(psp.base_url + "/payments/list", timeout=10).status_code == 401
    assert Client(psp, psp.issue_key(shop)).get("/payments/list").status_code == 200
    assert shop.api_key.startswith("snd_")


def test_production_issues_other_keys_and_sends_nothing_until_allowed():
    with HyperswitchCounterparty(mode="production") as psp:
        shop = psp.add_merchant(SINK)
        api = Client(psp, shop.api_key)
        psp.pay(api.link())
        before = types(psp)
        psp.allow_webhooks(shop)
        psp.pay(api.link())

    assert shop.api_key.startswith("prod_")
    assert (before, types(psp)) == ([], ["payment_succeeded"])


def test_another_merchants_objects_are_not_there(psp, api):
    payment = api.link()
    psp.pay(payment)
    refund, dispute = psp.refund(payment, 100)["refund_id"], psp.dispute(payment)["dispute_id"]
    stranger = Client(psp, psp.add_merchant().api_key)

    assert refusal(stranger.get(f"/payments/{payment}")) == (404, "HE_02")
    assert refusal(stranger.post(f"/payments/{payment}/cancel")) == (404, "HE_02")
    assert refusal(stranger.post("/refunds", {"payment_id": payment})) == (404, "HE_02")
    assert refusal(stranger.get(f"/refunds/{refund}")) == (404, "HE_02")
    assert refusal(stranger.get(f"/disputes/{dispute}")) == (404, "HE_04")
    assert stranger.get("/payments/list").json() == {"size": 0, "data": []}
    assert stranger.post("/refunds/list").json()["data"] == stranger.get("/disputes/list").json() == []


def test_addresses_and_methods_that_do_not_exist_are_refused(api):
    assert refusal(api.get("/nothing")) == (404, "IR_02")
    assert refusal(api.get("/refunds")) == (405, "IR_03")


def test_a_payment_link_is_open_for_fifteen_minutes_by_default(api, shop):
    made = api.post("/payments", LINK | {"payment_id": ID, "metadata": {"aap": "1"}}).json()

    assert (made["payment_id"], made["status"], made["metadata"]) == (ID, "requires_payment_method", {"aap": "1"})
    assert (made["created"], made["expires_on"]) == ("2026-03-01T12:00:00.000Z", "2026-03-01T12:15:00.000Z")
    assert made["profile_id"] == shop.profile_id
    assert made["client_secret"].startswith(f"{ID}_secret_")
    assert requests.get(made["payment_link"]["link"], timeout=10).text.endswith("open: requires_payment_method</p>")
    assert set(made["payment_link"]) == {"link", "secure_link", "payment_link_id"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"confirm": True}, (422, "IR_06")),
        ({"return_url": None}, (400, "IR_04")),
        ({"return_url": "/thanks"}, (400, "IR_06")),
        ({"session_expiry": 59}, (422, "IR_06")),
        ({"session_expiry": 7_890_001}, (422, "IR_06")),
        ({"payment_id": ID[:-1]}, (422, "IR_05")),
        ({"amount": None}, (400, "IR_04")),
        ({"amount": "4990"}, (400, "IR_06")),
        ({"amount": 49.9}, (400, "IR_06")),
        ({"amount": True}, (400, "IR_06")),
        ({"amount": 0}, (422, "IR_05")),
        ({"currency": "eur"}, (400, "IR_06")),
        ({"currency": "ZZZ"}, (400, "IR_06")),
        ({"confirm": "yes"}, (400, "IR_06")),
        ({"colour": "red"}, (400, "IR_06")),
        ({"metadata": {str(n): "" for n in range(51)}}, (422, "IR_06")),
        ({"metadata": {"n" * 41: ""}}, (422, "IR_06")),
        ({"metadata": {"n": "v" * 501}}, (422, "IR_06")),
        ({"merchant_order_reference_id": "r" * 256}, (422, "IR_05")),
        ({"profile_id": "pro_other"}, (404, "HE_02")),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(api, change, expected):
    assert refusal(api.post("/payments", LINK | change)) == expected
    assert api.get("/payments/list").json()["size"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"session_expiry": 60},
        {"session_expiry": 7_890_000},
        {"metadata": {f"{n:040}": "v" * 500 for n in range(50)}},
    ],
)
def test_the_limits_themselves_are_allowed(api, change):
    assert api.post("/payments", LINK | change).status_code == 200


def test_an_unreadable_body_names_its_error_otherwise(api):
    assert set(api.post("/payments", LINK | {"amount": "1"}).json()["error"]) == {"error_type", "message", "code"}
    assert set(api.post("/payments", {"currency": "EUR"}).json()["error"]) == {"type", "message", "code"}


def test_a_repeated_payment_id_is_refused_and_not_replayed(psp, api):
    api.post("/payments", LINK | {"payment_id": ID})

    assert refusal(api.post("/payments", LINK | {"payment_id": ID})) == (400, "HE_01")
    assert "payment_id" not in api.post("/payments", LINK | {"payment_id": ID}).json()
    other = Client(psp, psp.add_merchant().api_key)
    assert other.post("/payments", LINK | {"payment_id": ID}).status_code == 200


@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("pm_succeeds", "succeeded", None),
        ("pm_processing", "processing", None),
        ("pm_requires_action", "requires_customer_action", None),
        ("pm_declined", "failed", "card_declined"),
        ("pm_insufficient_funds", "failed", "insufficient_funds"),
    ],
)
def test_a_stored_method_decides_its_charge_and_a_decline_is_200(api, method, status, code):
    response = api.post("/payments", CHARGE | {"recurring_details": STORED | {"data": method}})
    body = response.json()

    assert (response.status_code, body["status"], body["error_code"]) == (200, status, code)
    assert bool(body["unified_code"]) == bool(body["error_message"]) == (status == "failed")
    assert bool(body["next_action"]) == (status == "requires_customer_action")
    assert body["amount_received"] == (4990 if status == "succeeded" else None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"customer_id": None}, (400, "IR_04")),
        ({"off_session": False}, (400, "IR_16")),
        ({"recurring_details": STORED | {"data": "pm_unknown"}}, (404, "HE_02")),
        ({"recurring_details": {"type": "payment_method_id"}}, (400, "IR_06")),
        ({"recurring_details": None}, (501, "IR_00")),
    ],
)
def test_a_wrong_charge_is_refused(api, change, expected):
    assert refusal(api.post("/payments", CHARGE | {"recurring_details": STORED} | change)) == expected


def test_a_link_stays_open_after_a_decline_and_fails_once_only_in_events(psp, api):
    payment = api.link()
    psp.pay(payment, "declined", "insufficient_funds")
    psp.pay(payment, "declined", "expired_card")
    declined = api.get(f"/payments/{payment}", expand_attempts="true").json()
    psp.pay(payment)
    paid = api.get(f"/payments/{payment}").json()

    assert (declined["status"], declined["error_code"]) == ("failed", "expired_card")
    assert [attempt["error_code"] for attempt in declined["attempts"]] == ["insufficient_funds", "expired_card"]
    assert (paid["status"], paid["amount_received"], paid["error_code"], paid["attempts"]) == (
        "succeeded",
        4990,
        None,
        None,
    )
    assert types(psp) == ["payment_failed", "payment_succeeded"]
    with pytest.raises(ControlError):
        psp.pay(payment)


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "succeeded"), ("declined", "failed")])
def test_an_unseen_outcome_is_found_by_force_sync_only(psp, api, outcome, status):
    payment = api.link()
    psp.pay(payment, "processing")
    psp.finish(payment, outcome, unseen=True)

    assert api.get(f"/payments/{payment}").json()["status"] == "processing"
    assert api.get(f"/payments/{payment}", force_sync="true").json()["status"] == status
    assert types(psp) == ["payment_processing", f"payment_{status}"]


def test_a_session_runs_out(psp, api):
    payment, longer = api.link(session_expiry=60), api.link(session_expiry=61)
    psp.advance(60)

    assert [api.get(f"/payments/{key}").json()["status"] for key in (payment, longer)] == [
        "expired",
        "requires_payment_method",
    ]
    assert types(psp) == ["payment_expired"]
    with pytest.raises(ControlError):
        psp.pay(payment)


def test_a_session_may_run_out_in_silence():
    with HyperswitchCounterparty(announces_expiry=False) as psp:
        payment = Client(psp, psp.add_merchant(SINK).api_key).link()
        psp.advance(901)

        assert (psp.payment(payment)["status"], types(psp)) == ("requires_payment_method", [])
        with pytest.raises(ControlError):
            psp.pay(payment)


def test_only_an_undecided_payment_can_be_cancelled(psp, api):
    payment, paid = api.link(), api.link()
    psp.pay(paid)

    assert api.post(f"/payments/{payment}/cancel", {"cancellation_reason": "late"}).json()["status"] == "cancelled"
    assert refusal(api.post(f"/payments/{payment}/cancel")) == (400, "IR_14")
    assert refusal(api.post(f"/payments/{paid}/cancel")) == (400, "IR_14")


def test_manual_capture_may_be_partial(psp, api):
    payment = api.link(capture_method="manual")
    psp.pay(payment)
    psp.capture(payment, 1000)

    body = api.get(f"/payments/{payment}").json()
    assert (body["status"], body["amount_received"], body["amount_capturable"]) == ("partially_captured", 1000, 0)
    assert types(psp) == ["payment_authorized", "payment_captured"]
    assert refusal(api.post("/refunds", {"payment_id": payment, "amount": 1001})) == (400, "IR_13")


def test_refunds_never_exceed_the_payment_and_failed_ones_do_not_count(psp, shop, api):
    payment = api.link(metadata={"aap": "1"})
    assert refusal(api.post("/refunds", {"payment_id": payment})) == (400, "IR_14")
    psp.pay(payment)
    psp.set_refunds_become(shop, "pending")
    wanted = {"payment_id": payment, "refund_id": "ref_" + "1" * 26, "amount": 4000}

    first = api.post("/refunds", wanted).json()
    assert (first["status"], first["metadata"]) == ("pending", None)
    assert refusal(api.post("/refunds", wanted)) == (400, "HE_01")
    assert refusal(api.post("/refunds", {"payment_id": payment, "amount": 991})) == (400, "IR_13")
    assert refusal(api.post("/refunds", {"payment_id": payment, "amount": 0})) == (422, "IR_05")
    assert refusal(api.post("/refunds", wanted | {"refund_id": "ref_1"})) == (422, "IR_05")
    psp.finish_refund(first["refund_id"], "failed")
    assert api.post("/refunds", {"payment_id": payment}).json()["amount"] == 4990
    assert len(api.get(f"/payments/{payment}").json()["refunds"]) == 2


def test_a_dispute_moves_on_carries_text_for_money_and_no_metadata(psp, api):
    payment = api.link(metadata={"aap": "1"})
    psp.pay(payment)
    dispute = psp.dispute(payment, 1200)["dispute_id"]
    for to in ("challenged", "lost", "won"):
        psp.move_dispute(dispute, to)

    body = api.get(f"/disputes/{dispute}").json()
    assert (body["amount"], body["dispute_status"], body["payment_id"]) == ("1200", "dispute_won", payment)
    assert "metadata" not in body
    assert api.get(f"/payments/{payment}").json()["disputes"][0]["amount"] == "1200"
    assert types(psp)[1:] == ["dispute_opened", "dispute_challenged", "dispute_lost", "dispute_won"]
    with pytest.raises(ControlError):
        psp.move_dispute(dispute, "expired")


def test_payments_are_listed_newest_first_page_by_page(psp, api):
    made = []
    for _ in range(5):
        made.append(api.link())
        psp.advance(1)

    page = api.get("/payments/list", limit=2).json()
    rest = api.get("/payments/list", limit=100, starting_after=page["data"][-1]["payment_id"]).json()
    assert [item["payment_id"] for item in page["data"] + rest["data"]] == made[::-1]
    window = {"created.gte": "2026-03-01T12:00:01Z", "created.lte": "2026-03-01T12:00:03Z"}
    assert [item["payment_id"] for item in api.get("/payments/list", **window).json()["data"]] == made[3:0:-1]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"limit": 101}, (422, "IR_06")),
        ({"limit": 0}, (422, "IR_06")),
        ({"created_gte": "2026-03-01T12:00:00Z"}, (400, "IR_06")),
        ({"created.gte": "yesterday"}, (400, "IR_06")),
        ({"starting_after": "pay_unknown"}, (404, "HE_02")),
    ],
)
def test_a_list_refuses_what_it_does_not_know(api, params, expected):
    api.link()
    assert refusal(api.get("/payments/list", **params)) == expected


def test_refunds_and_disputes_are_listed_by_time(psp, api):
    payment = api.link()
    psp.pay(payment)
    refunds = []
    for _ in range(3):
        refunds.append(psp.refund(payment, 100)["refund_id"])
        psp.dispute(payment, 100)
        psp.advance(1)
    since = "2026-03-01T12:00:01Z"

    found = api.post("/refunds/list", {"start_time": since, "limit": 1, "offset": 1}).json()
    assert (found["count"], found["total_count"], found["data"][0]["refund_id"]) == (1, 2, refunds[1])
    assert len(api.get("/disputes/list", **{"received_time.gte": since}).json()) == 2
    assert refusal(api.get("/disputes/list", start_time=since)) == (400, "IR_06")
    psp.world.lists_disputes_by_start_time = True
    assert len(api.get("/disputes/list", start_time=since).json()) == 2
