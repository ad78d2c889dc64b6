import random
from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from merchants.models import CommissionTerms, Offer, Provider
from sessions_app import search
from sessions_app.models import Session
from sessions_app.wire import OfferReply, SearchReply
from tests.factories import FLIGHT, SIM, MerchantFactory, OfferFactory

pytestmark = pytest.mark.django_db


def found(as_agent, **params):
    """The names of the offers found, in order."""
    reply = as_agent.get("/v1/offers", **params)
    assert reply.status_code == 200, reply.content
    return [offer["name"] for offer in reply.json()["offers"]]


@pytest.fixture
def shop():
    """A merchant whose offers are made by name."""
    merchant = MerchantFactory(connected=False)

    def offer(name, **values):
        criteria = SIM | {key: values.pop(key) for key in ("data_gb", "contract_months") if key in values}
        return OfferFactory(merchant=merchant, name=name, **{"criteria": criteria} | values)

    return offer


def test_offers_come_by_price_then_id(as_agent, shop):
    prices = [500, 300, 500, 100, 300, 500]
    offers = [shop(f"{n}", price_minor=price) for n, price in enumerate(prices)]

    wanted = [offer.name for offer in sorted(offers, key=lambda offer: (offer.price_minor, offer.pk))]

    assert found(as_agent) == wanted


@pytest.mark.parametrize("seed", range(5))
def test_commission_never_changes_the_order(as_agent, shop, seed):
    chance = random.Random(seed)  # noqa: S311  # no secret
    offers = [shop(f"{n}", price_minor=chance.choice([500, 600])) for n in range(8)]
    before = found(as_agent)
    amounts = [300 + 100 * n for n in range(8)]
    chance.shuffle(amounts)

    for offer, amount in zip(offers, amounts, strict=True):
        CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=amount)

    assert found(as_agent) == before
    assert {offer.terms.count() for offer in offers} == {2}


def test_a_search_filters_by_vertical(as_agent, shop):
    shop("sim")
    OfferFactory(vertical="flights", name="flight", criteria=FLIGHT, terms={"type": "percentage", "rate": 5})

    assert [found(as_agent, vertical=vertical) for vertical in ("sim", "flights", "hotels")] == [
        ["sim"],
        ["flight"],
        [],
    ]


@pytest.mark.parametrize("vertical", ["cars", "SIM", "'; DROP TABLE", "x" * 100])
def test_an_unknown_vertical_finds_nothing(as_agent, shop, vertical):
    shop("sim")

    assert found(as_agent, vertical=vertical) == []


PROVIDERS = ["SMARTY", "100% Mobile", "snake_case", "back\\slash", "Ünïcode", "O'Neil"]


@pytest.mark.parametrize(
    ("part", "providers"),
    [
        ("smarty", ["SMARTY"]), ("MART", ["SMARTY"]), ("%", ["100% Mobile"]), ("_", ["snake_case"]),
        ("\\", ["back\\slash"]), ("ünÏ", ["Ünïcode"]), ("o'n", ["O'Neil"]), ("0%", ["100% Mobile"]), ("S%Y", []),
        ("S_ARTY", []), ("\\%", []), ("nobody", []),
    ],
)  # fmt: skip
def test_a_part_of_the_provider_is_taken_literally_in_any_case(as_agent, shop, part, providers):
    for provider in PROVIDERS:
        shop(provider, provider=provider)

    assert found(as_agent, provider=part) == providers


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"min_price": "10"}, ["10", "10.01", "20"]), ({"max_price": "10"}, ["9.99", "10"]),
        ({"min_price": "10.01", "max_price": "10.01"}, ["10.01"]), ({"min_price": "30", "max_price": "1"}, []),
        ({"min_price": " 10.01 "}, ["10.01", "20"]), ({"max_price": "0"}, []),
    ],
)  # fmt: skip
def test_prices_are_bounded_inclusively(as_agent, shop, params, names):
    for name in ("9.99", "10", "10.01", "20"):
        shop(name, price_minor=round(float(name) * 100))

    assert found(as_agent, **params) == names


@pytest.mark.parametrize("name", ["data_gb_min", "min_data_gb"])
@pytest.mark.parametrize(("least", "names"), [("0", ["1", "30", "all"]), ("30", ["30", "all"]), ("1000000", ["all"])])
def test_unlimited_data_is_more_than_any_number(as_agent, shop, name, least, names):
    for data in (1, 30, "unlimited"):
        shop("all" if data == "unlimited" else str(data), data_gb=data)

    assert found(as_agent, **{name: least}) == names


@pytest.mark.parametrize(
    ("months", "names"), [("0", ["rolling"]), ("12", ["year"]), ("6", []), ("", ["rolling", "year"])]
)
def test_contract_months_are_exact_and_zero_is_rolling(as_agent, shop, months, names):
    shop("rolling", contract_months=0)
    shop("year", contract_months=12)

    assert found(as_agent, contract_months=months) == names


def test_empty_parameters_count_as_absent(as_agent, shop):
    shop("one")
    names = ("vertical", "provider", "min_price", "max_price", "data_gb_min", "contract_months", "limit", "cursor")

    assert found(as_agent, **dict.fromkeys(names, "")) == ["one"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("min_price", "max_price")
          for value in ("ten", "-1", "1.005", "NaN", "inf", "1e1", "1e400", "1e1000000", "1,5", "1_0", "٣")),
        *((name, value) for name in ("data_gb_min", "min_data_gb", "contract_months")
          for value in ("ten", "-1", "1.5", "1e3", "٣", "9999999999", " 1")),
        *(("limit", value) for value in ("0", "101", "-1", "ten", "1.5")),
        *(("cursor", value) for value in ("x", "AAAA", "é", "====", "MTAwMC5ub3QtYW4taWQ")),
        ("vertical", "x" * 101), ("provider", "x" * 101),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(as_agent, name, value):
    reply = as_agent.get("/v1/offers", **{name: value})

    named = "data_gb_min" if name == "min_data_gb" else name
    assert (reply.status_code, reply.json()["error"].split()[0]) == (400, named)
    assert Session.objects.count() == 0


@pytest.mark.parametrize(
    ("params", "count"), [({}, 20), ({"limit": "1"}, 1), ({"limit": "25"}, 25), ({"limit": "100"}, 25)]
)
def test_the_limit_is_20_unless_told(as_agent, shop, params, count):
    for n in range(25):
        shop(f"{n}")

    assert as_agent.get("/v1/offers", **params).json()["count"] == count


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_the_cursor_walks_every_offer_once_even_with_equal_prices(as_agent, shop, limit):
    for n in range(14):
        shop(f"{n}", price_minor=1000 if n % 2 else 1000 + n // 7)
    walked, cursor = [], ""

    while cursor is not None:
        reply = as_agent.get("/v1/offers", limit=limit, cursor=cursor).json()
        walked += [offer["id"] for offer in reply["offers"]]
        cursor = reply.get("nextCursor")

    assert walked == list(Offer.objects.order_by("price_minor", "id").values_list("pk", flat=True))


def test_a_full_last_page_has_no_cursor(as_agent, shop):
    shop("1"), shop("2")

    assert "nextCursor" not in as_agent.get("/v1/offers", limit=2).json()


@pytest.mark.parametrize("params", [{}, {"vertical": "cars"}, {"provider": "nobody"}])
def test_a_search_always_opens_a_session_of_the_agent(as_agent, agent, params):
    reply = as_agent.get("/v1/offers", **params).json()

    session = Session.objects.get(pk=reply["sessionId"])
    assert (session.agent, session.status, session.query) == (agent, "created", params)


def test_a_session_keeps_what_was_asked_in_minor_units(as_agent):
    as_agent.get("/v1/offers", vertical="sim", max_price="12.50", min_data_gb="20", contract_months="0", limit="5")

    query = {"vertical": "sim", "max_price": 1250, "data_gb_min": 20, "contract_months": 0}
    assert Session.objects.get().query == query


def test_a_session_is_open_for_24_hours(as_agent):
    before = timezone.now()

    shown = parse_datetime(as_agent.get("/v1/offers").json()["expiresAt"])

    session = Session.objects.get()
    assert session.expires_at - session.created_at == timedelta(hours=24)
    assert timedelta(0) <= shown - before - timedelta(hours=24, milliseconds=-1) < timedelta(seconds=10)


@pytest.mark.parametrize("count", [1, 60])
def test_a_search_takes_three_queries_however_many_offers(as_agent, shop, django_assert_num_queries, count):
    for n in range(count):
        shop(f"{n}")
    as_agent.get("/v1/offers")  # reads the signing keys

    with django_assert_num_queries(3):
        assert as_agent.get("/v1/offers", limit=100).json()["count"] == count


@pytest.mark.parametrize("values", [{"status": "withdrawn"}, {"terms": {}}])
def test_offers_that_cannot_be_bought_are_absent(as_agent, shop, values):
    shop("gone", **values)
    shop("here")

    assert found(as_agent) == ["here"]


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_offers_of_inactive_merchants_are_absent(as_agent, status):
    OfferFactory(merchant=MerchantFactory(status=status))

    assert found(as_agent) == []


def fields_of(serializer):
    fields = serializer().get_fields()
    return set(fields), {name for name, field in fields.items() if field.required}


@pytest.mark.parametrize("values", [{}, {"intro_price_minor": 500, "intro_months": 3}])
def test_the_reply_has_the_documented_shape(as_agent, shop, values):
    shop("1", **values), shop("2")

    reply = as_agent.get("/v1/offers", limit=1).json()

    every, _ = fields_of(SearchReply)
    every_offer, required = fields_of(OfferReply)
    assert set(reply) == every
    assert set(reply["offers"][0]) == (every_offer if values else required)


def test_an_offer_is_shown_as_the_protocol_says(as_agent, shop):
    offer = shop("SMARTY 30GB", price_minor=1050)

    [shown] = as_agent.get("/v1/offers").json()["offers"]

    assert shown.pop("aapCode").startswith("aap://rako.sh/v1/")
    assert shown == {
        "id": offer.pk, "merchantId": offer.merchant_id, "vertical": "sim", "provider": "SMARTY",
        "name": "SMARTY 30GB", "price": 10.5, "currency": "GBP", "criteria": SIM, "status": "active",
    }  # fmt: skip


def test_searching_needs_an_agents_key(as_stranger, as_merchant):
    merchant = as_merchant(MerchantFactory(connected=False))

    assert (as_stranger.get("/v1/offers").status_code, merchant.get("/v1/offers").status_code) == (401, 403)


def test_an_empty_query_asks_for_everything():
    assert search.parse_query({}) == search.OfferQuery()


def test_a_part_that_very_many_names_have_leaves_no_offer_out(as_agent):
    Provider.objects.bulk_create([Provider(name=f"Brand {number}") for number in range(300)])
    offer = OfferFactory(provider="Zed bRaNd", name="SIM")

    reply = as_agent.get("/v1/offers", provider="BRAND").json()

    assert [found["id"] for found in reply["offers"]] == [offer.pk]
