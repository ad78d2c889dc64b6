"""The pages a buyer sees, through the front door and without JavaScript."""

import logging

import pytest
from django.db import connection
from django.test import Client

from checkout.connectors.sandbox import accounts, cards, pages, payments
from checkout.connectors.sandbox.forms import NOT_A_TEST_CARD
from checkout.connectors.sandbox.models import Account, Payment, PaymentPage
from tests.checkout.sandbox import factories
from tests.checkout.sandbox.factories import FAILS_LATER, SUCCEEDS_LATER

CARD = {"expiry": "12/34", "cvc": "123"}
REAL_LOOKING = "4111111111111111"


def address(page: PaymentPage) -> str:
    return f"/sandbox/pay/{page.pk}"


def pay(client: Client, page: PaymentPage, number: str) -> object:
    return client.post(address(page), CARD | {"number": number})


def test_the_page_says_what_is_paid_to_whom(client: Client, page: PaymentPage) -> None:
    shown = client.get(address(page)).content.decode()

    for text in ("Northwind Running", "Trail Runner 2", "£129.00", "GBP", "Sandbox – no real money moves"):
        assert text in shown


def test_the_page_lists_every_test_card(client: Client, page: PaymentPage) -> None:
    shown = client.get(address(page)).content.decode()

    assert all(card.spaced in shown and card.effect in shown for card in cards.CARDS)


def test_a_test_card_can_be_filled_in_by_a_link(client: Client, page: PaymentPage) -> None:
    shown = client.get(address(page), {"card": "funds"}).content.decode()

    assert 'value="4000 0000 0000 9995"' in shown


def test_cancel_leads_back_and_leaves_the_page_open(client: Client, page: PaymentPage) -> None:
    shown = client.get(address(page)).content.decode()

    assert 'href="https://shop.example/basket">Cancel and return to merchant' in shown


@pytest.mark.parametrize("path", ["", "/step-up"])
def test_nothing_is_stored_or_framed(client: Client, page: PaymentPage, path: str) -> None:
    reply = client.get(address(page) + path)

    assert reply["Cache-Control"] == "no-store"
    assert reply["X-Frame-Options"] == "DENY"


def test_the_page_needs_nothing_from_elsewhere(client: Client, page: PaymentPage) -> None:
    shown = client.get(address(page)).content.decode()

    assert "<script" not in shown
    assert "src=" not in shown
    assert "<link" not in shown


def test_texts_of_others_are_escaped(client: Client, account: Account) -> None:
    page = pages.create_page(account, factories.checkout_request(item_name="<script>alert(1)</script>"))

    assert "<script" not in client.get(address(page)).content.decode()


def test_a_good_card_leads_to_the_merchant(client: Client, page: PaymentPage) -> None:
    reply = pay(client, page, "4242 4242 4242 4242")

    assert (reply.status_code, reply["Location"]) == (303, "https://shop.example/thanks")


def test_a_second_submit_leads_there_too(client: Client, page: PaymentPage) -> None:
    pay(client, page, "4242424242424242")
    reply = pay(client, page, "4242424242424242")

    assert (reply.status_code, reply["Location"]) == (303, "https://shop.example/thanks")
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("number", ["4000000000000002", "4000000000009995", "4000000000000069"])
def test_a_declined_card_says_why(client: Client, page: PaymentPage, number: str) -> None:
    reply = pay(client, page, number)

    assert reply.status_code == 402
    assert cards.DECLINE_MESSAGES[cards.by_number(number).decline_code] in reply.content.decode()


def test_after_a_decline_another_card_pays(client: Client, page: PaymentPage) -> None:
    pay(client, page, "4000000000000002")
    reply = pay(client, page, "4242424242424242")

    assert reply.status_code == 303
    assert Payment.objects.get().status == "succeeded"


def test_a_real_looking_number_is_neither_shown_nor_stored_nor_logged(
    client: Client, page: PaymentPage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reply = pay(client, page, REAL_LOOKING)

    assert reply.status_code == 422
    assert NOT_A_TEST_CARD in reply.content.decode()
    assert REAL_LOOKING not in reply.content.decode() + caplog.text + everything_stored()


def everything_stored() -> str:
    """All that the sandbox keeps of payments, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT p::text FROM sandbox_payment p UNION ALL SELECT e::text FROM sandbox_event e")
        return str(cursor.fetchall())


def test_a_test_number_is_not_stored_in_full(client: Client, page: PaymentPage) -> None:
    pay(client, page, "4242424242424242")

    assert "4242424242" not in everything_stored()


@pytest.mark.parametrize(("answer", "leads_to"), [("approve", "https://shop.example/thanks"), ("refuse", "")])
def test_the_step_up_asks_and_obeys(client: Client, page: PaymentPage, answer: str, leads_to: str) -> None:
    asked = pay(client, page, "4000000000003220")
    shown = client.get(asked["Location"]).content.decode()

    reply = client.post(asked["Location"], {"answer": answer})

    assert "Approve" in shown
    assert (reply.status_code, reply["Location"]) == (303, leads_to or address(page))


def test_after_a_refusal_the_page_says_so_and_takes_another_card(client: Client, page: PaymentPage) -> None:
    asked = pay(client, page, "4000000000003220")
    client.post(asked["Location"], {"answer": "refuse"})

    shown = client.get(address(page)).content.decode()

    assert cards.DECLINE_MESSAGES["authentication_refused"] in shown
    assert pay(client, page, "4242424242424242").status_code == 303


def test_a_step_up_that_nobody_asked_for_leads_to_the_page(client: Client, page: PaymentPage) -> None:
    pay(client, page, "4000000000000002")

    reply = client.get(f"{address(page)}/step-up")

    assert (reply.status_code, reply["Location"]) == (303, address(page))


def test_a_delayed_card_leads_to_the_merchant(client: Client, page: PaymentPage) -> None:
    reply = pay(client, page, "4000000000006009")

    assert (reply.status_code, reply["Location"]) == (303, "https://shop.example/thanks")


@pytest.mark.parametrize(
    ("card", "settle", "text"),
    [
        (cards.by_number("4242424242424242"), False, "This payment is complete"),
        (SUCCEEDS_LATER, False, "Payment in progress"),
        (FAILS_LATER, True, "Payment failed"),
    ],
)
def test_a_complete_page_says_so_without_a_form(
    client: Client, page: PaymentPage, card: object, settle: bool, text: str
) -> None:
    payment = pages.pay_page(page.pk, card)
    if settle:
        payments.complete_delayed(payment.pk)

    reply = client.get(address(page))

    assert (reply.status_code, text in reply.content.decode()) == (200, True)
    assert "<form" not in reply.content.decode()


@pytest.mark.parametrize("end", [lambda page: pages.expire_page(page.pk), factories.overdue])
def test_an_expired_page_is_gone(client: Client, page: PaymentPage, end: object) -> None:
    end(page)

    reply = client.get(address(page))

    assert reply.status_code == 410
    assert "<form" not in reply.content.decode()


@pytest.mark.parametrize("number", ["4242424242424242", REAL_LOOKING])
def test_paying_an_expired_page_leads_to_its_end(client: Client, page: PaymentPage, number: str) -> None:
    pages.expire_page(page.pk)

    reply = pay(client, page, number)

    assert (reply.status_code, reply["Location"]) == (303, address(page))


def test_a_closed_accounts_page_is_gone(client: Client, page: PaymentPage) -> None:
    accounts.close_account(page.account_id)

    assert client.get(address(page)).status_code == 410


@pytest.mark.parametrize(
    "path",
    [
        "/sandbox/pay/cs_1",
        "/sandbox/pay/cs_01J00000000000000000000000",
        "/sandbox/pay/cs_01J00000000000000000000000/step-up",
        "/sandbox/payments/pi_01J00000000000000000000000/step-up",
    ],
)
def test_an_unknown_id_is_a_page_of_its_own(client: Client, db: None, path: str) -> None:
    reply = client.get(path)

    assert reply.status_code == 404
    assert "There is no such payment" in reply.content.decode()


def test_a_post_from_elsewhere_pays_nothing(page: PaymentPage) -> None:
    reply = pay(Client(enforce_csrf_checks=True), page, "4242424242424242")

    assert reply.status_code == 403
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("answer", "text"), [("approve", "This payment is complete"), ("refuse", "Nothing was charged")]
)
def test_a_charge_without_the_buyer_can_be_stepped_up(client: Client, account: Account, answer: str, text: str) -> None:
    request = factories.stored_charge(payment_method="pm_card_authentication_required")
    path = f"/sandbox/payments/{payments.charge_stored(account, request).pk}/step-up"
    asked = client.get(path).content.decode()

    reply = client.post(path, {"answer": answer}, follow=True)

    assert "Race socks" in asked
    assert text in reply.content.decode()


def test_a_pages_payment_has_no_step_up_of_its_own(client: Client, page: PaymentPage) -> None:
    pay(client, page, "4000000000003220")

    assert client.get(f"/sandbox/payments/{Payment.objects.get().pk}/step-up").status_code == 404
