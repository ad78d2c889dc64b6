"""The commission floors of the protocol's section 4, held in three places, and terms that take effect in time."""

import csv
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from merchants.imports import OPTIONAL, REQUIRED, import_rows, read_offers
from merchants.models import CommissionTerms
from merchants.models.offer import wire_commission
from merchants.verticals import VERTICALS
from rako.core.aap_code import decode
from rako.core.ids import new_id
from rako.core.money import MAX_MINOR, major_text
from rako.core.postgres import violated
from tests.factories import OfferFactory
from tests.merchants.test_models import CRITERIA

# As the protocol prints them: minor units and percent.
FLOORS = {
    "sim": (300, None), "broadband": (800, None), "energy": (1000, None), "insurance": (1500, 2),
    "flights": (None, 1), "hotels": (None, 2),
}  # fmt: skip
MILLI = Decimal("0.001")


def table():
    """Every vertical and type with terms and whether they are allowed: at the floor, just below it, and incomplete."""
    for vertical, (cpa, percent) in FLOORS.items():
        amount, rate = cpa or 10_000, Decimal(percent or 50)
        yield vertical, "cpa", amount, None, cpa is not None
        yield vertical, "cpa", amount - 1, None, False
        yield vertical, "percentage", None, rate, percent is not None
        yield vertical, "percentage", None, rate - MILLI, False
        yield vertical, "percentage", None, Decimal("100.001"), False
        yield vertical, "hybrid", amount, rate, None not in (cpa, percent)
        yield vertical, "hybrid", amount - 1, rate, False
        yield vertical, "hybrid", amount, rate - MILLI, False


def incomplete():
    for vertical in FLOORS:
        yield vertical, "cpa", None, None
        yield vertical, "cpa", 100_000, Decimal(50)
        yield vertical, "percentage", None, None
        yield vertical, "percentage", 100_000, Decimal(50)
        yield vertical, "hybrid", None, Decimal(50)
        yield vertical, "hybrid", 100_000, None
        yield vertical, "hybrid", None, None
        yield vertical, "gift", 100_000, Decimal(50)


TABLE = list(table())
every_case = pytest.mark.parametrize(("vertical", "kind", "amount", "rate", "is_allowed"), TABLE)
every_gap = pytest.mark.parametrize(("vertical", "kind", "amount", "rate"), list(incomplete()))


def insert(offer, vertical, kind, amount, rate):
    """Raw SQL; whether PostgreSQL takes the row, or one of the constraints on terms refuses it."""
    sql = "INSERT INTO merchants_commissionterms (id, offer_id, vertical, type, amount_minor, rate, effective_from,"
    sql += " created_at) VALUES (%s, %s, %s, %s, %s, %s, now(), now())"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, [new_id(), offer.pk, vertical, kind, amount, rate])
    except IntegrityError as error:
        return not violated(error).startswith("terms_")
    return True


def test_the_table_is_the_protocols():
    ours = {name: (rules.floor_cpa_minor, rules.floor_rate) for name, rules in VERTICALS.items()}

    assert ours == FLOORS


@every_case
def test_the_form_holds_the_floor(vertical, kind, amount, rate, is_allowed):
    terms = CommissionTerms(vertical=vertical, type=kind, amount_minor=amount, rate=rate)

    if is_allowed:
        terms.clean()
    else:
        with pytest.raises(ValidationError, match=r"commission|at most 100"):
            terms.clean()


@pytest.mark.django_db
@every_case
def test_postgresql_holds_the_floor(vertical, kind, amount, rate, is_allowed):
    offer = OfferFactory.create(merchant__connected=False, vertical=vertical, terms={}, criteria={})

    assert insert(offer, vertical, kind, amount, rate) is is_allowed


@pytest.mark.django_db
@every_gap
def test_postgresql_refuses_terms_with_parts_missing_or_to_spare(vertical, kind, amount, rate):
    offer = OfferFactory.create(merchant__connected=False, vertical=vertical, terms={}, criteria={})

    assert not insert(offer, vertical, kind, amount, rate)


@every_gap
def test_the_form_refuses_terms_with_parts_missing_or_to_spare(vertical, kind, amount, rate):
    terms = CommissionTerms(vertical=vertical, type=kind, amount_minor=amount, rate=rate)

    with pytest.raises(ValidationError):
        terms.full_clean(exclude=["offer"], validate_unique=False, validate_constraints=False)


def row_of(vertical, kind, amount, rate):
    money = None if amount is None else major_text(amount, "GBP")
    commission = {"cpa": (money, ""), "percentage": (rate, ""), "hybrid": (rate, money)}[kind]
    names = {"commission_type": kind, "commission_value": commission[0], "commission_min": commission[1]}
    fixed = dict.fromkeys((*REQUIRED, *OPTIONAL), "") | {"merchant": "M", "merchant_url": "https://shop.example"}
    fixed |= {"vertical": vertical, "provider": "P", "name": "N", "price": "10", "url": "https://shop.example/p"}
    criteria = {f"criteria.{name}": str(value).lower() if isinstance(value, bool) else value
                for name, value in CRITERIA[vertical].items()}  # fmt: skip
    return fixed | criteria | names


@pytest.mark.django_db
@every_case
def test_the_import_holds_the_floor(tmp_path, vertical, kind, amount, rate, is_allowed):
    row = row_of(vertical, kind, amount, rate)
    with (tmp_path / "offers.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)

    [result] = import_rows(read_offers(tmp_path / "offers.csv"))

    assert result.outcome == ("created" if is_allowed else "refused"), result.detail


@pytest.mark.django_db
def test_an_amount_is_bounded():
    offer = OfferFactory(terms={})

    with pytest.raises(IntegrityError, match="terms_amount_is_bounded"), transaction.atomic():
        CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=MAX_MINOR + 1)


@pytest.mark.parametrize(
    ("kind", "amount", "rate", "shown"),
    [
        ("cpa", 800, None, {"type": "cpa", "value": 8}),
        ("cpa", 650, None, {"type": "cpa", "value": 6.5}),
        ("percentage", None, Decimal("5.000"), {"type": "percentage", "value": 5}),
        ("percentage", None, Decimal("2.125"), {"type": "percentage", "value": 2.125}),
        ("hybrid", 1500, Decimal("3.000"), {"type": "hybrid", "value": 3, "min": 15}),
    ],
)
def test_codes_carry_terms_as_the_protocol_shows_them(kind, amount, rate, shown):
    assert wire_commission(kind, amount, rate, "GBP") == shown


def commission_of(as_agent, offer):
    return decode(as_agent.post("/v1/codes/issue", {"offerId": offer.pk}).json()["aapCode"]).payload["com"]["value"]


@pytest.mark.django_db
def test_the_newest_terms_in_force_are_signed(as_agent):
    offer = OfferFactory()
    now = timezone.now()
    for days, amount in [(-0.5, 900), (-3, 1000), (1, 1100)]:
        CommissionTerms.objects.create(
            offer=offer, type="cpa", amount_minor=amount, effective_from=now + timedelta(days=days)
        )

    assert commission_of(as_agent, offer) == 9


@pytest.mark.django_db
def test_future_terms_take_over_exactly_at_their_time(as_agent):
    offer = OfferFactory()
    starts = timezone.now() + timedelta(seconds=0.4)
    CommissionTerms.objects.create(offer=offer, type="cpa", amount_minor=900, effective_from=starts)
    seen = []

    while (asked := datetime.now(UTC)) < starts + timedelta(seconds=0.1):
        found = commission_of(as_agent, offer)
        if asked >= starts or datetime.now(UTC) < starts:  # not while the clock passed the moment
            seen.append((asked >= starts, found))
        time.sleep(0.01)

    assert set(seen) == {(False, 8), (True, 9)}


@pytest.mark.django_db
def test_an_offer_whose_terms_all_lie_ahead_is_not_offered(as_agent):
    offer = OfferFactory(
        terms={"type": "cpa", "amount_minor": 800, "effective_from": timezone.now() + timedelta(days=1)}
    )

    reply = as_agent.post("/v1/codes/issue", {"offerId": offer.pk})

    assert (reply.status_code, reply.json()) == (410, {"error": "Offer no longer available"})
    assert as_agent.get("/v1/offers").json()["offers"] == []


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_suspended_merchants_offers_vanish(as_agent, status):
    offer = OfferFactory()
    before = as_agent.get("/v1/offers").json()["count"]

    offer.merchant.status = status
    offer.merchant.save()

    assert (before, as_agent.get("/v1/offers").json()["count"]) == (1, 0)
    assert as_agent.post("/v1/codes/issue", {"offerId": offer.pk}).status_code == 410
