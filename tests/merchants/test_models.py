from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from merchants.models import CommissionTerms, Connection, Merchant, Offer
from merchants.models.merchant import check_host
from merchants.models.offer import MAX_PRICE_MINOR
from merchants.verticals import VERTICALS, check_criteria
from rako.core import aap_code
from rako.core.errors import BadRequest
from tests.factories import FLIGHT, SIM, MerchantFactory, OfferFactory

CRITERIA = {
    "sim": SIM,
    "flights": FLIGHT,
    "broadband": {
        "download_mbps": 100, "upload_mbps": 20, "technology": "fttp", "contract_months": 24, "setup_fee": 9.99,
        "router_included": True, "landline_included": False,
    },
    "energy": {
        "tariff_type": "fixed", "fuel": "dual", "contract_months": 12, "exit_fee": 50, "renewable_percent": 100,
        "smart_meter_required": False, "standing_charge": 0.5,
    },
    "hotels": {
        "city": "York", "country": "GB", "stars": 4, "board": "breakfast", "free_cancellation": True, "max_guests": 2,
    },
    "insurance": {
        "product": "car", "cover": "comprehensive", "excess": 250, "term_months": 12, "cooling_off_days": 14,
    },
}  # fmt: skip
EVERY = [(vertical, name) for vertical in VERTICALS for name in VERTICALS[vertical].criteria]
REQUIRED = [(vertical, name) for vertical, name in EVERY if VERTICALS[vertical].criteria[name].required]
WRONG = {
    "int": [1.5, "1", True, -1, None.__class__, 1_000_001, [1]],
    "decimal": ["1", True, -0.01, 1_000_000.5, {}, float("nan"), float("inf")],
    "bool": ["true", 0, 1, "", []],
    "text": ["", 1, True, "x" * 81, ["a"]],
    "int_or_unlimited": ["Unlimited", "lots", 1.5, True, -1, ""],
}


def changed(vertical, name, value):
    return CRITERIA[vertical] | {name: value}


@pytest.mark.parametrize("vertical", VERTICALS)
def test_good_criteria_are_kept_in_a_fixed_order(vertical):
    kept = check_criteria(vertical, dict(reversed(CRITERIA[vertical].items())))

    assert kept == CRITERIA[vertical]
    assert list(kept) == [name for name in VERTICALS[vertical].criteria if name in kept]


@pytest.mark.parametrize(("vertical", "name"), REQUIRED)
@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_criterion_is_named(vertical, name, absent):
    criteria = changed(vertical, name, None)
    if absent:
        del criteria[name]

    with pytest.raises(BadRequest, match=f"criteria.{name} is required for {vertical}"):
        check_criteria(vertical, criteria)


@pytest.mark.parametrize("vertical", VERTICALS)
def test_an_unknown_criterion_is_named(vertical):
    with pytest.raises(BadRequest, match=f"criteria.wings is unknown for {vertical}"):
        check_criteria(vertical, CRITERIA[vertical] | {"wings": 2})


@pytest.mark.parametrize(("vertical", "name"), EVERY)
def test_a_criterion_of_a_wrong_type_is_named(vertical, name):
    for value in WRONG[VERTICALS[vertical].criteria[name].kind]:
        with pytest.raises(BadRequest, match=f"criteria.{name} must be"):
            check_criteria(vertical, changed(vertical, name, value))


@pytest.mark.parametrize(("vertical", "name"), [pair for pair in EVERY if VERTICALS[pair[0]].criteria[pair[1]].choices])
def test_a_closed_text_takes_its_choices_only(vertical, name):
    for choice in VERTICALS[vertical].criteria[name].choices:
        assert check_criteria(vertical, changed(vertical, name, choice))[name] == choice
    with pytest.raises(BadRequest, match=f"criteria.{name} must be one of"):
        check_criteria(vertical, changed(vertical, name, "other"))


@pytest.mark.parametrize("criteria", [None, [], "{}", 1])
def test_criteria_are_an_object(criteria):
    with pytest.raises(BadRequest, match="criteria must be an object"):
        check_criteria("sim", criteria)


def test_optional_rates_of_energy_may_be_given():
    assert check_criteria("energy", CRITERIA["energy"] | {"gas_unit_rate": 0.06})["gas_unit_rate"] == 0.06


@pytest.mark.django_db
def test_the_form_names_a_bad_criterion():
    offer = OfferFactory.build(merchant=MerchantFactory(connected=False), criteria=SIM | {"5g": "yes"})

    with pytest.raises(ValidationError, match=r"criteria.5g must be true or false"):
        offer.full_clean()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("criteria", "columns"),
    [
        ({"data_gb": 30, "contract_months": 0}, (30, 0)),
        ({"data_gb": "unlimited", "contract_months": 24}, (2_147_483_647, 24)),
        ({}, (None, None)),
    ],
)
def test_postgresql_keeps_the_searchable_copies_true(criteria, columns):
    offer = OfferFactory(criteria=criteria)

    offer.refresh_from_db()
    assert (offer.data_gb, offer.contract_months) == columns


@pytest.mark.django_db
@pytest.mark.parametrize("criteria", [{"data_gb": "lots"}, {"contract_months": 1.5}, {"data_gb": 2**31}])
def test_a_number_that_searches_cannot_use_is_refused_by_postgresql(criteria):
    with pytest.raises(DataError), transaction.atomic():
        OfferFactory(criteria=criteria)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"price_minor": 0}, "offer_price_is_positive"),
        ({"price_minor": -1}, "offer_price_is_positive"),
        ({"intro_price_minor": 500}, "offer_intro_price_has_months_and_is_lower"),
        ({"intro_months": 3}, "offer_intro_price_has_months_and_is_lower"),
        ({"intro_price_minor": 500, "intro_months": 0}, "offer_intro_price_has_months_and_is_lower"),
        ({"intro_price_minor": 1000, "intro_months": 3}, "offer_intro_price_has_months_and_is_lower"),
        ({"intro_price_minor": -1, "intro_months": 3}, "offer_intro_price_has_months_and_is_lower"),
        ({"currency": "JPY"}, "offer_currency_is_known"),
        ({"status": "gone"}, "offer_status_is_known"),
        ({"vertical": "cars"}, "offer_vertical_is_known"),
        ({"provider": "p" * 9, "name": "n" * 60}, "offer_provider_and_name_fit_the_code"),
        ({"provider": "é" * 20, "name": "€" * 10}, "offer_provider_and_name_fit_the_code"),
        ({"provider": '"' * 5, "name": "\\" * 30}, "offer_provider_and_name_fit_the_code"),
        ({"provider": "\n"}, "offer_texts_have_no_controls"),
        ({"name": "SIM\x1f"}, "offer_texts_have_no_controls"),
        ({"price_minor": MAX_PRICE_MINOR + 1}, "offer_price_is_positive"),
    ],
)
def test_postgresql_refuses_what_no_offer_may_be(values, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        OfferFactory(terms={}, **values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"intro_price_minor": 999, "intro_months": 1},
        {"intro_price_minor": 0, "intro_months": 6},
        {"provider": "é" * 20, "name": "n" * 28},
        {"price_minor": MAX_PRICE_MINOR},
        {"price_minor": 1},
    ],
)
def test_offers_up_to_the_limits_are_taken(values):
    assert OfferFactory(terms={}, **values).pk


@pytest.mark.django_db
def test_an_offer_is_named_once_per_merchant():
    offer = OfferFactory()

    with pytest.raises(IntegrityError, match="offer_named_once_per_merchant"), transaction.atomic():
        OfferFactory(merchant=offer.merchant, provider=offer.provider, name=offer.name)


SHOP = Merchant(hosts=["shop.example", "xn--bcher-kva.example"])


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example", "http://shop.example/a?b=c#d", "https://SHOP.example/", "https://xn--bcher-kva.example/",
        "https://shop.example/@evil.example", "https://shop.example/?next=https://evil.example",
    ],
)  # fmt: skip
def test_pages_on_registered_hosts_are_served(url):
    assert SHOP.serves(url)


HOSTILE = [
    "https://evil.example/", "https://shop.example@evil.example/", "https://evil.example@shop.example/",
    "https://user:word@shop.example/", "https://@shop.example/", "https://shop.example\\@evil.example/",
    "https:\\\\shop.example/", "https://evil.example\\.shop.example/", "https://shop.example:8443/",
    "https://shop.example:443/", "https://shop.example:x/", "https://sub.shop.example/", "https://shop.example.evil.io/",
    "https://shop.example./", "https://evilshop.example/", "https://shop.exаmple/", "https://ｓhop.example/",
    "https://bücher.example/", "https://shop。example/", "javascript:alert(1)//shop.example",
    "javascript://shop.example/%0aalert(1)", "data:text/html,shop.example", "ftp://shop.example/", "//shop.example/",
    "///shop.example/", "/shop.example", "shop.example", "https:shop.example", "https:///shop.example/",
    "https://[::1]/", "https://[shop.example/", "https://evil.example#@shop.example", "https://evil.example?shop.example",
    "https://evil.example;shop.example/", "https://shop.example%2eevil.io/", "", " ",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
def test_pages_elsewhere_are_not_served(url):
    assert not SHOP.serves(url)


@pytest.mark.django_db
@pytest.mark.parametrize("url", [url for url in HOSTILE if url.strip()])
def test_an_offer_cannot_lead_elsewhere(url):
    offer = OfferFactory.build(merchant=MerchantFactory(connected=False), url=url)

    with pytest.raises(ValidationError) as raised:
        offer.full_clean()
    assert set(raised.value.message_dict) == {"url"}


@pytest.mark.parametrize("host", ["shop.example", "a.b.c.example", "xn--bcher-kva.example", "1.example", "a-b.example"])
def test_dns_names_are_hosts(host):
    assert check_host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost", "shop", "Shop.example", "shop.example:80", "shop.example.", ".example", "a..example",
        "-a.example", "a-.example", "127.0.0.1", "[::1]", "*.example", "bücher.example", "shop.example/path",
        "user@shop.example", "shop.example\n", "a" * 64 + ".example", ".".join(["abc"] * 64), "shop_1.example",
    ],
)  # fmt: skip
def test_anything_else_is_no_host(host):
    with pytest.raises(ValidationError, match="is not a host name"):
        check_host(host)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"network_fee_rate": Decimal("1.0001")}, "merchant_fee_is_a_share"),
        ({"network_fee_rate": Decimal("-0.0001")}, "merchant_fee_is_a_share"),
        ({"status": "asleep"}, "merchant_status_is_known"),
    ],
)
def test_postgresql_refuses_what_no_merchant_may_be(values, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        MerchantFactory(connected=False, **values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "merchant_status", "is_available"),
    [
        ("active", "active", True),
        ("withdrawn", "active", False),
        ("active", "suspended", False),
        ("active", "closed", False),
    ],
)
def test_only_active_offers_of_active_merchants_are_available(status, merchant_status, is_available):
    merchant = MerchantFactory(connected=False, status=merchant_status)

    assert OfferFactory(merchant=merchant, status=status).is_available is is_available


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"account_id": "other"}, "connection_one_standing_per_merchant"),
        ({"status": "degraded"}, "connection_one_per_account"),
        ({"status": "odd", "account_id": "other"}, "connection_status_is_known"),
    ],
)
def test_a_merchant_has_one_active_connection_to_an_account_of_its_own(values, constraint):
    known = MerchantFactory().connections.get()
    content = {"kind": known.kind, "account_id": known.account_id, "credentials": {}, "webhook_secrets": []} | values

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Connection.objects.create(merchant=known.merchant, **content)


WORST = {"type": "hybrid", "amount_minor": MAX_PRICE_MINOR, "rate": Decimal("99.999")}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("p" * 8, "n" * 60), ("p" * 60, "n" * 8), ("é" * 17, "é" * 17), ("€" * 11, "€" * 11 + "xx"),
        ("𝒜" * 8, "𝒜" * 9), ('"' * 10, "\\" * 24), ("p", 'SIM "Sport" 6" \\ ' * 3),
    ],
)  # fmt: skip
def test_the_longest_permitted_code_fits_a_psps_metadata(as_agent, provider, name):
    offer = OfferFactory(
        vertical="insurance", provider=provider, name=name, price_minor=MAX_PRICE_MINOR, criteria={}, terms=WORST
    )

    reply = as_agent.post("/v1/codes/issue", {"offerId": offer.pk}).json()

    assert aap_code.decode(reply["aapCode"]).payload["prd"] == name
    assert len(reply["aapCode"]) <= 500


@pytest.mark.django_db
def test_terms_follow_their_offers_vertical():
    offer = OfferFactory()

    assert offer.terms.get().vertical == "sim"


@pytest.mark.django_db
def test_an_offer_with_terms_cannot_change_its_vertical():
    offer = OfferFactory()

    with pytest.raises(IntegrityError, match="terms_of_the_offers_vertical"), transaction.atomic():
        Offer.objects.filter(pk=offer.pk).update(vertical="energy")


@pytest.mark.django_db
@pytest.mark.parametrize("vertical", [name for name in VERTICALS if name != "sim"])
def test_terms_cannot_carry_another_vertical(vertical):
    offer = OfferFactory(terms={})
    insert = "INSERT INTO merchants_commissionterms (id, offer_id, vertical, type, amount_minor, rate, effective_from,"
    insert += " created_at) VALUES ('t', %s, %s, %s, %s, %s, now(), now())"
    floors = VERTICALS[vertical]
    kind = "percentage" if floors.floor_cpa_minor is None else "cpa"
    amount, rate = (None, 50) if kind == "percentage" else (100_000, None)

    with pytest.raises(IntegrityError, match="terms_of_the_offers_vertical"), transaction.atomic():
        connection.cursor().execute(insert, [offer.pk, vertical, kind, amount, rate])


@pytest.mark.django_db
def test_one_moment_has_one_set_of_terms():
    offer, moment = OfferFactory(terms={}), timezone.now() - timedelta(days=1)
    CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=800, effective_from=moment)

    with pytest.raises(IntegrityError, match="terms_one_per_moment"), transaction.atomic():
        CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=900, effective_from=moment)
