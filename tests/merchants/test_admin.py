"""Merchants, their keys, and offers in the admin."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from merchants.models import CommissionTerms, Merchant, MerchantKey, Offer
from tests import staff
from tests.conftest import Api
from tests.factories import SIM, MerchantFactory, MerchantKeyFactory, OfferFactory


@pytest.fixture
def boss(db: None) -> Client:
    return staff.superuser()


@pytest.fixture
def offer(db: None) -> Offer:
    return OfferFactory()


def offer_fields(seller: Merchant, **changes: Any) -> dict[str, Any]:
    """The form of a new SIM for 12.34 a month with a CPA of 8.00."""
    fields = {
        "merchant": seller.pk,
        "vertical": "sim",
        "provider": "SMARTY",
        "name": "30GB",
        "url": "https://shop.example/30gb",
        "status": "active",
        "currency": "GBP",
        "price": "12.34",
        "criteria": json.dumps(SIM),
        "terms-TOTAL_FORMS": 1,
        "terms-INITIAL_FORMS": 0,
        "terms-0-type": "cpa",
        "terms-0-amount": "8.00",
    }
    return fields | changes


def terms_fields(offer: Offer, **changes: Any) -> dict[str, Any]:
    """The form of an offer as it is, with a row for new terms."""
    past = {"terms-INITIAL_FORMS": 1, "terms-0-id": offer.terms.get().pk, "terms-0-type": "", "terms-0-amount": ""}
    return offer_fields(offer.merchant, **{"name": offer.name, "terms-TOTAL_FORMS": 2} | past | changes)


def add_offer(client: Client, **changes: Any) -> Any:
    return client.post(staff.page(Offer, "add"), offer_fields(MerchantFactory(), **changes), follow=True)


def found(as_agent: Api) -> int:
    return int(as_agent.get("/v1/offers").json()["count"])


def test_suspending_withdraws_the_offers_at_once_and_reactivating_puts_them_back(boss, offer, as_agent):
    assert found(as_agent) == 1

    staff.act(boss, "suspend", offer.merchant, reason="Unpaid")
    assert found(as_agent) == 0
    staff.act(boss, "reactivate", offer.merchant, reason="Paid")
    assert found(as_agent) == 1


def test_the_reason_is_asked_for_and_logged(boss, offer):
    asked = staff.act(boss, "suspend", offer.merchant)
    assert 'name="reason"' in asked.content.decode()
    staff.act(boss, "suspend", offer.merchant, reason="   ")
    assert Merchant.objects.get().status == "active"

    staff.act(boss, "suspend", offer.merchant, reason="Unpaid since May")

    assert LogEntry.objects.get(object_id=offer.merchant.pk).change_message == "Suspended: Unpaid since May"


def test_a_closed_merchant_is_not_suspended_which_would_revive_its_keys(boss, offer):
    staff.act(boss, "close", offer.merchant, reason="Gone")

    staff.act(boss, "suspend", offer.merchant, reason="Slip")

    assert Merchant.objects.get().status == "closed"


def test_an_action_from_a_merchants_page_returns_there(boss, offer):
    reply = staff.act(boss, "suspend", offer.merchant, reason="Unpaid", _object="1")

    assert reply.request["PATH_INFO"] == staff.page(Merchant, "change", offer.merchant.pk)


def add_merchant(client: Client, **changes: Any) -> Any:
    fields = {"name": "New", "status": "active", "hosts": "shop.example", "network_fee_rate": "0.2", "vat_rate": "0"}
    counts = {f"{rows}-{which}_FORMS": 0 for rows in ("connections", "keys") for which in ("TOTAL", "INITIAL")}
    return client.post(staff.page(Merchant, "add"), fields | counts | changes, follow=True)


def test_a_merchant_is_added_with_its_hosts_in_lower_case(boss):
    add_merchant(boss, hosts="Shop.example, www.shop.example\nshop.example")

    assert Merchant.objects.get().hosts == ["shop.example", "www.shop.example"]


@pytest.mark.parametrize("host", ["http://shop.example", "shop", "127.0.0.1", "shop.example:80"])
def test_hosts_are_validated(boss, host):
    assert f"{host} is not a host name" in add_merchant(boss, hosts=host).content.decode()


def test_a_fee_above_the_whole_is_refused(boss):
    assert "less than or equal to 1" in add_merchant(boss, network_fee_rate="20").content.decode()


def test_a_merchants_page_says_its_fee_in_percent(boss):
    assert "20 % as it stands" in staff.shown(boss, MerchantFactory())


def test_prices_are_typed_in_pounds(boss):
    add_offer(boss, intro_price="6.1", intro_months="3")

    offer = Offer.objects.get()
    assert (offer.price_minor, offer.intro_price_minor, offer.intro_months) == (1234, 610, 3)
    assert 'value="12.34"' in staff.shown(boss, offer)


def test_a_new_offer_comes_with_its_terms_and_is_found(boss, as_agent):
    add_offer(boss)

    terms = CommissionTerms.objects.get()
    assert (terms.vertical, terms.amount_minor) == ("sim", 800)
    assert found(as_agent) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"price": "12.345"}, "more than 2 decimal places"),
        ({"price": "0"}, "more than nothing"),
        ({"price": ""}, "This field is required"),
        ({"price": "NaN"}, "Enter a number"),
        ({"price": "1e30"}, "less than or equal to"),
        ({"intro_price": "12.34", "intro_months": "3"}, "Must be lower than the price"),
        ({"intro_price": "6"}, "go together"),
        ({"intro_months": "3"}, "go together"),
        ({"intro_price": "6", "intro_months": "0"}, "at least one month"),
        ({"name": "ü" * 38}, "must fit 68 bytes"),
        ({"criteria": "{}"}, "criteria.data_gb is required for sim"),
        ({"criteria": json.dumps(SIM | {"5g": "yes"})}, "criteria.5g must be true or false"),
        ({"criteria": "{"}, "Enter a valid JSON"),
        ({"url": "https://elsewhere.example/"}, "not on one of the merchant"),
        ({"vertical": ""}, "This field is required"),
        ({"terms-0-amount": "2.99"}, "needs an amount of at least 3"),
        ({"terms-0-amount": ""}, "needs an amount of at least 3"),
        ({"terms-0-type": "percentage", "terms-0-amount": "", "terms-0-rate": "5"}, "not offered for sim"),
        ({"terms-0-rate": "101"}, "less than or equal to 100"),
        ({"terms-0-effective_from_0": "2020-01-01", "terms-0-effective_from_1": "00:00"}, "Terms begin now or later"),
    ],
)
def test_what_is_wrong_with_an_offer_is_told(boss, changes, told):
    reply = add_offer(boss, **changes)

    assert told in reply.content.decode()
    assert not Offer.objects.exists()


def test_saving_an_offer_leaves_its_past_terms_alone(boss, offer):
    reply = boss.post(staff.page(Offer, "change", offer.pk), terms_fields(offer, **{"terms-TOTAL_FORMS": 1}))

    assert reply.status_code == 302
    assert offer.terms.count() == 1
    assert Offer.objects.get().price_minor == 1234


def test_new_terms_supersede_the_old_from_now_or_from_later(boss, offer):
    later = timezone.now() + timedelta(days=9)
    rows = {"terms-TOTAL_FORMS": 3, "terms-1-type": "cpa", "terms-1-amount": "9", "terms-2-type": "cpa"}
    rows |= {
        "terms-2-amount": "10",
        "terms-2-effective_from_0": f"{later:%Y-%m-%d}",
        "terms-2-effective_from_1": "00:00",
    }

    boss.post(staff.page(Offer, "change", offer.pk), terms_fields(offer, **rows))

    assert list(offer.terms.values_list("amount_minor", flat=True)) == [1000, 900, 800]
    assert "9.00 GBP" in boss.get(staff.page(Offer, "changelist")).content.decode()


def test_what_codes_and_terms_rest_on_stands(boss, offer):
    other = MerchantFactory()

    boss.post(staff.page(Offer, "change", offer.pk), terms_fields(offer, merchant=other.pk, vertical="hotels"))

    offer.refresh_from_db()
    assert (offer.merchant == other, offer.vertical) == (False, "sim")


def test_offers_are_withdrawn_and_reactivated(boss, offer, as_agent):
    staff.act(boss, "withdraw", offer)
    assert found(as_agent) == 0
    staff.act(boss, "reactivate", offer)
    assert found(as_agent) == 1
    assert LogEntry.objects.filter(object_id=offer.pk).count() == 2


def test_a_key_is_shown_once_and_works(boss):
    fields = {"name": "production", "merchant": MerchantFactory().pk}

    first = boss.post(staff.page(MerchantKey, "add"), fields, follow=True).content.decode()

    key = re.search(r"<code>(aap_[\w-]{43})</code>", first)[1]
    row = MerchantKey.objects.get()
    again = boss.get(staff.page(MerchantKey, "changelist")).content.decode() + staff.shown(boss, row)
    assert key not in again
    assert row.digest not in first + again
    assert Api(key).get("/v1/conversions").status_code == 200


def test_revoking_ends_a_key_at_once(boss):
    key = MerchantKeyFactory()
    assert Api(key.secret).get("/v1/conversions").status_code == 200

    staff.act(boss, "revoke_now", key)

    assert Api(key.secret).get("/v1/conversions").status_code == 401


def test_a_key_cannot_begin_expired(boss):
    fields = {"name": "x", "merchant": MerchantFactory().pk, "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}

    assert "This moment is past" in boss.post(staff.page(MerchantKey, "add"), fields).content.decode()


def test_keys_are_not_edited(boss):
    assert boss.post(staff.page(MerchantKey, "change", MerchantKeyFactory().pk), {"name": "x"}).status_code == 403


@pytest.mark.parametrize("action", ["suspend", "reactivate", "close"])
def test_view_only_staff_cannot_change_a_merchants_status(offer, action):
    staff.act(staff.viewer(), action, offer.merchant, reason="No")

    assert Merchant.objects.get().status == "active"
