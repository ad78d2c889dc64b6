"""Opening hosted pages: once per attempt, and only for what can be sold."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from checkout.connectors.base import KeyReuseMismatch, NotPayable, PspRejected
from checkout.connectors.sandbox import accounts, pages
from checkout.connectors.sandbox.models import Account, PaymentPage
from rako.core.money import MAX_MINOR, Money
from tests.checkout.sandbox import factories


def test_the_same_attempt_gives_the_same_page(account: Account) -> None:
    request = factories.checkout_request()

    first, second = pages.create_page(account, request), pages.create_page(account, request)

    assert first.pk == second.pk


def test_accounts_do_not_share_attempts(account: Account) -> None:
    request = factories.checkout_request()
    other = accounts.open_account("Other", "/hooks/other")

    first, second = pages.create_page(account, request), pages.create_page(other, request)

    assert first.pk != second.pk


@pytest.mark.parametrize(
    "change",
    [{"money": Money(1, "GBP")}, {"item_name": "Other"}, {"metadata": {}}, {"success_url": "https://x.example"}],
)
def test_the_same_attempt_with_other_content_is_refused(account: Account, change: dict[str, object]) -> None:
    request = factories.checkout_request()
    pages.create_page(account, request)

    with pytest.raises(KeyReuseMismatch):
        pages.create_page(account, replace(request, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"item_name": ""},
        {"item_name": "nul\x00"},
        {"merchant_name": "lone \ud800 surrogate"},
        {"success_url": "javascript:alert(1)"},
        {"success_url": "https://"},
        {"cancel_url": "//shop.example"},
        {"cancel_url": "https://[shop"},
        {"cancel_url": "https://shop.example/\r\nSet-Cookie: x"},
        {"metadata": {"k": "v" * 501}},
        {"metadata": {f"k{n}": "v" for n in range(51)}},
        {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_a_request_out_of_bounds_leaves_no_page(account: Account, change: dict[str, object]) -> None:
    with pytest.raises(PspRejected):
        pages.create_page(account, factories.checkout_request(**change))

    assert not PaymentPage.objects.exists()


@pytest.mark.parametrize("money", [Money(0, "GBP"), Money(-1, "GBP"), Money(MAX_MINOR + 1, "GBP"), Money(100, "XXX")])
def test_money_out_of_bounds_is_not_payable(account: Account, money: Money) -> None:
    with pytest.raises(NotPayable):
        pages.create_page(account, factories.checkout_request(money=money))

    assert not PaymentPage.objects.exists()
