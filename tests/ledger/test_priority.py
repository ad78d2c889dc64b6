"""One sale, one commission: the path of the highest priority has it, in whatever order the paths are proven (§4)."""

import itertools
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ledger.lifecycle import Kind, Told, tell
from ledger.models import Conversion, Entry, Event, Evidence
from ledger.models.conversion import Path
from ledger.priority import PRIORITY, live
from ledger.verification.run import Scope, verify
from tests.factories import MerchantFactory, OfferFactory, RecommendationFactory
from tests.ledger.paths import EARNS, PATHS, Market, accrued, balances, findings, live_sales
from tests.ledger.tampering import as_superuser
from tests.threads import race

# Each pair of paths, and so in both orders of arrival.
PAIRS = list(itertools.product(PATHS, repeat=2))


@pytest.fixture
def market(db):
    return Market()


@pytest.fixture
def is_sound(tmp_path, settings):
    return lambda: findings(tmp_path, settings) == []


def split(conversion):
    return (conversion.commission_minor, conversion.network_fee_minor, conversion.builder_payout_minor)


def happen(market, kind, reference="r1", sale="ORDER-1", **values):
    told = Told(kind, sale, reference, values.pop("at", timezone.now()), **values)
    return tell(market.merchant.pk, told)


def test_the_priorities_are_those_of_the_protocol():
    assert PRIORITY == {"aap_flow": 1, "tracked_link": 2, "extension": 3, "influence": 4}
    assert list(Path) == PATHS


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_paths_to_one_recommendation_the_higher_has_the_sale(market, is_sound, first, second):
    best = min(first, second, key=PATHS.index)

    replies = [market.report(market.ours, path).status_code for path in (first, second)]

    (sale,) = live_sales()
    assert (replies, sale.attribution_path, split(sale)) == ([200, 200], best, EARNS[best])
    assert balances() == accrued(best)
    assert is_sound()


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_agents_the_one_by_the_higher_path_has_the_order(market, is_sound, first, second):
    takes_over = PATHS.index(second) < PATHS.index(first)
    best, winner = (second, market.theirs) if takes_over else (first, market.ours)

    market.report(market.ours, first)
    reply = market.report(market.theirs, second)

    (sale,) = live_sales()
    assert reply.status_code == (200 if takes_over else 409)
    assert (sale.attribution_path, sale.recommendation, split(sale)) == (best, winner, EARNS[best])
    assert balances() == accrued(best)
    assert is_sound()


@pytest.mark.parametrize("pays_first", [True, False])
@pytest.mark.parametrize("path", PATHS[1:])
def test_a_payment_has_its_session_before_any_report_of_a_lower_path(market, is_sound, path, pays_first):
    steps = [market.payment(market.ours), lambda: market.report(market.ours, path)]

    replies = [step().status_code for step in (steps if pays_first else reversed(steps))]

    (sale,) = live_sales()
    assert (replies, sale.attribution_path, sale.verification_level) == ([200, 200], "aap_flow", "orchestrated")
    assert balances() == accrued("aap_flow")
    assert is_sound()


@pytest.mark.parametrize("order", list(itertools.permutations(PATHS)), ids="-".join)
def test_all_four_paths_in_any_order_pay_one_commission(market, order):
    for path in order:
        market.report(market.ours, path)

    (sale,) = live_sales()
    assert (sale.attribution_path, balances()) == ("aap_flow", accrued("aap_flow"))
    assert Evidence.objects.count() == 4


def test_a_chain_of_supersessions_is_sound(market, is_sound):
    for path in reversed(PATHS):
        market.report(market.ours, path)

    assert Conversion.objects.filter(is_superseded=True, status="rejected").count() == 3
    assert is_sound()


def test_the_superseded_conversion_names_its_successor(market):
    market.report(market.ours, "influence")
    market.report(market.theirs, "extension")

    old, new = Conversion.objects.order_by("recorded_at")
    event = Event.objects.get(kind="superseded")
    assert (event.conversion, event.reference, live(old)) == (old, new.pk, new)
    assert (old.status, old.is_superseded) == ("rejected", True)
    assert list(Entry.objects.filter(stream_id=old.pk).values_list("kind", flat=True)) == [
        "conversion.recorded",
        "conversion.superseded",
    ]


def test_a_superseded_report_told_again_answers_with_the_conversion_that_has_the_sale(market):
    evidence = {"evidence": {"survey": "S-1"}}
    market.report(market.ours, "influence", **evidence)
    market.report(market.theirs, "tracked_link")
    market.report(market.theirs, "aap_flow")

    again = market.report(market.ours, "influence", **evidence)

    assert (again.status_code, again.json()["conversionId"]) == (200, live_sales()[0].pk)


def test_both_builders_see_what_became_of_it(market, as_agent):
    market.report(market.ours, "influence")
    market.report(market.theirs, "aap_flow")

    old = Conversion.objects.get(is_superseded=True)
    shown = market.client.get(f"/v1/conversions/{old.pk}").json()

    assert (shown["status"], shown["isSuperseded"]) == ("rejected", True)


def test_a_lower_path_that_comes_second_is_evidence(market):
    market.report(market.ours, "tracked_link")
    market.report(market.ours, "influence")

    (sale,) = Conversion.objects.all()
    ways = sale.evidence.order_by("id").values_list("path", flat=True)
    assert (list(ways), Entry.objects.latest("id").kind) == (["tracked_link", "influence"], "evidence.attached")


def test_a_merchant_cannot_talk_a_recorded_sale_down(market, is_sound):
    market.report(market.ours, "tracked_link")

    replies = [
        market.report(market.ours, "aap_flow", transactionValue=1).status_code,
        market.report(market.theirs, "aap_flow", "ORDER-2").status_code,
        market.report(market.ours, "aap_flow", "ORDER-2").status_code,
    ]

    kept = Conversion.objects.get(order_reference="ORDER-1")
    assert replies == [200, 200, 409]  # kept as a contradiction; another sale; a second order of the session
    assert (kept.attribution_path, kept.is_superseded, kept.commission_minor) == ("tracked_link", False, 600)
    assert Entry.objects.filter(kind="evidence.contradicts").count() == 1
    assert is_sound()


def test_an_order_at_another_amount_is_not_taken_over_by_another_agent(market):
    market.report(market.ours, "tracked_link")

    reply = market.report(market.theirs, "aap_flow", transactionValue=1)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "order_attributed")


def test_a_session_that_has_a_sale_does_not_get_another_ones_order(market):
    market.report(market.ours, "influence", "ORDER-1")
    market.report(market.theirs, "influence", "ORDER-2")

    reply = market.report(market.theirs, "aap_flow", "ORDER-1")

    assert (reply.status_code, len(live_sales())) == (409, 2)


def test_another_merchants_sale_in_the_session_is_not_taken_away(market, as_merchant):
    market.report(market.ours, "tracked_link")
    other = RecommendationFactory(session=market.ours.session, offer=OfferFactory(merchant=MerchantFactory()))
    body = {"sessionId": other.session_id, "orderReference": "ORDER-9", "transactionValue": 10}

    reply = as_merchant(other.offer.merchant).post("/v1/conversions", body)

    assert (reply.status_code, reply.headers["X-Error-Code"]) == (409, "session_converted")
    assert [sale.merchant for sale in live_sales()] == [market.merchant]


# --- What happened to the sale holds for its new conversion


@pytest.mark.parametrize("recommender", ["ours", "theirs"])
@pytest.mark.parametrize(
    ("kind", "status", "is_left"),
    [
        (Kind.CANCELLED, "clawed_back", False),
        (Kind.REFUNDED, "clawed_back", False),
        (Kind.DISPUTE_LOST, "clawed_back", False),
        (Kind.DISPUTE_OPENED, "disputed", True),
        (Kind.DISPUTE_WON, "resolved", True),
    ],
)
def test_what_was_taken_back_does_not_come_back(market, is_sound, kind, status, is_left, recommender):
    market.report(market.ours, "influence")
    happen(market, kind, amount_minor=1000 if kind == Kind.REFUNDED else None)

    market.report(getattr(market, recommender), "aap_flow")

    (sale,) = live_sales()
    assert (sale.status, balances()) == (status, accrued("aap_flow") if is_left else {})
    assert is_sound()


@pytest.mark.parametrize(("recommender", "status"), [("ours", "rejected"), ("theirs", "pending_validation")])
def test_fraud_stays_with_the_builder_it_was_found_at(market, is_sound, recommender, status):
    market.report(market.ours, "influence")
    happen(market, Kind.FRAUD_FOUND)
    happen(market, Kind.HELD, "velocity")

    market.report(getattr(market, recommender), "aap_flow")

    assert [(sale.status, sale.is_held) for sale in live_sales()] == [(status, status == "rejected")]
    assert is_sound()


def test_a_refund_that_fails_later_finds_the_new_conversion(market, is_sound):
    market.report(market.ours, "influence")
    happen(market, Kind.REFUNDED, "re_1", amount_minor=1000)
    market.report(market.theirs, "aap_flow")

    happen(market, Kind.REFUND_FAILED, "re_1")

    assert ([sale.status for sale in live_sales()], balances()) == (["pending_validation"], accrued("aap_flow"))
    assert is_sound()


def test_what_is_told_again_after_it_changes_nothing(market):
    at = timezone.now()
    market.report(market.ours, "influence")
    happen(market, Kind.REFUNDED, "re_1", amount_minor=300, at=at)
    market.report(market.theirs, "aap_flow")

    told = happen(market, Kind.REFUNDED, "re_1", amount_minor=300, at=at)

    assert [told] == live_sales()
    assert Event.objects.filter(kind="refunded", is_inherited=False).count() == 1


def test_a_sale_that_was_validated_is_reversed_and_its_successor_validated_anew(market, is_sound):
    market.report(market.ours, "influence")
    happen(market, Kind.VALIDATED, at=timezone.now() + timedelta(days=31))
    settled = balances()

    market.report(market.theirs, "aap_flow")

    assert settled == {"merchant_receivable": 400, "fee_revenue": -80, "builder_payable": -320}
    assert ([sale.status for sale in live_sales()], balances()) == (["pending_validation"], accrued("aap_flow"))
    assert is_sound()


def test_a_payment_keeps_the_service_date_that_a_report_told(db, is_sound):
    market = Market(vertical="flights", terms={"type": "percentage", "rate": 5})
    paid = market.payment(market.ours)
    departure = timezone.now().date() + timedelta(days=20)
    market.report(market.ours, "tracked_link", serviceDate=departure.isoformat())

    paid()

    (sale,) = live_sales()
    assert (sale.attribution_path, sale.validation_ends_at.date()) == ("aap_flow", departure + timedelta(days=7))
    assert is_sound()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "INSERT INTO ledger_evidence SELECT 'x', source, level, reference, transaction_value_minor, currency, "
            "occurred_at, received_at, sha256, details, conversion_id, merchant_id, path FROM ledger_evidence LIMIT 1",
            "evidence_attributed_once",
        ),
        ("UPDATE ledger_conversion SET is_superseded = false", "conversion_one_per_"),
        ("UPDATE ledger_event SET is_inherited = true", "its rows are facts"),
        ("UPDATE ledger_evidence SET path = 'influence'", "its rows are facts"),
    ],
)
def test_postgres_lets_nobody_pay_a_sale_twice(market, statement, constraint):
    market.report(market.ours, "influence")
    market.report(market.theirs, "aap_flow")

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("deed", "what"),
    [
        ("UPDATE ledger_event SET reference = upper(md5('x')) WHERE kind = 'superseded'", "superseded it is missing"),
        ("DELETE FROM ledger_event WHERE kind = 'refunded' AND NOT is_inherited", "never told"),
        ("UPDATE ledger_event SET is_inherited = false, kind = 'cancelled' WHERE is_inherited", "differs"),
        ("DELETE FROM ledger_event WHERE is_inherited", "is missing"),
        ("UPDATE ledger_evidence SET path = 'extension' WHERE path = 'influence'", "its evidence of"),
        ("UPDATE ledger_conversion SET is_superseded = false, session_id = session_id", "what happened makes it"),
    ],
)
def test_what_an_owner_of_the_database_changes_is_found(market, tmp_path, settings, deed, what):
    market.report(market.ours, "influence")
    happen(market, Kind.REFUNDED, "re_1", amount_minor=300)
    market.report(market.theirs, "aap_flow")
    assert findings(tmp_path, settings) == []

    as_superuser("DROP INDEX conversion_one_per_order", deed)

    assert any(what in finding.detail for finding in verify(Scope()).kept)


def test_two_live_conversions_of_an_order_are_found(market, tmp_path, settings):
    """By the payment of one session with the report attached to it, and by a link of another."""
    market.payment(market.ours)()
    market.report(market.ours, "aap_flow", "ORDER-1")
    market.report(market.theirs, "tracked_link", "ORDER-2")
    assert findings(tmp_path, settings) == []

    as_superuser("UPDATE ledger_evidence SET reference = 'ORDER-1' WHERE reference = 'ORDER-2'")

    assert any("another conversion has its order" in finding.detail for finding in verify(Scope()).kept)


# --- At once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("first", "second"), [("influence", "aap_flow"), ("extension", "tracked_link")])
def test_two_agents_that_claim_one_order_at_once_get_one_commission(first, second):
    for _ in range(4):
        market = Market()
        claims = [(market.ours, first), (market.theirs, second)]

        replies = race(lambda n, market=market, claims=claims: market.report(*claims[n]).status_code, times=2)

        (sale,) = market.offer.conversions.filter(is_superseded=False)
        assert (sale.attribution_path, sale.recommendation) == (second, market.theirs)
        assert sorted(replies) in ([200, 200], [200, 409])


@pytest.mark.django_db(transaction=True)
def test_all_paths_told_at_once_by_both_agents_pay_one_commission():
    market = Market()
    claims = list(itertools.product([market.ours, market.theirs], PATHS))

    replies = race(lambda n: market.report(*claims[n]))

    (sale,) = live_sales()
    assert {reply.status_code for reply in replies} <= {200, 409}
    assert (sale.attribution_path, balances()) == ("aap_flow", accrued("aap_flow"))


@pytest.mark.django_db(transaction=True)
def test_a_payment_and_reports_at_once_pay_one_commission():
    for _ in range(3):
        market = Market()
        calls = [
            market.payment(market.ours),
            *(lambda path=path, market=market: market.report(market.ours, path) for path in PATHS[1:]),
            *(lambda path=path, market=market: market.report(market.theirs, path) for path in PATHS[1:]),
        ]

        replies = race(lambda n, calls=calls: calls[n](), times=len(calls))

        assert {reply.status_code for reply in replies} <= {200, 409}
        sales = market.offer.conversions.filter(is_superseded=False, order_reference__startswith="aap:")
        assert [sale.attribution_path for sale in sales] == ["aap_flow"]
        assert market.ours.session.conversions.filter(is_superseded=False).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_refund_told_while_its_sale_passes_on_is_not_lost():
    for _ in range(4):
        market = Market()
        market.report(market.ours, "influence")
        calls = [
            lambda market=market: market.report(market.theirs, "aap_flow"),
            lambda market=market: happen(market, Kind.REFUNDED, market.offer.pk, amount_minor=1000),
        ]

        race(lambda n, calls=calls: calls[n](), times=2)

        (sale,) = market.offer.conversions.filter(is_superseded=False)
        assert (sale.attribution_path, sale.status) == ("aap_flow", "clawed_back")
    assert balances() == {}
