"""What happens to a sale: every order of telling ends alike, every move is an entry, nothing is spent twice."""

import itertools
import os
from collections import Counter
from datetime import timedelta

import orjson
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.utils import timezone

from ledger.accounts import Split
from ledger.conversions import record_conversion
from ledger.lifecycle import DECISIONS, MOVES, CannotMove, Told, tell
from ledger.models import Conversion, Entry, Event, Evidence, Posting, Status
from ledger.models.conversion import Level
from ledger.standing import Happening, Sale, derive
from rako.core.money import Money
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
from tests.ledger.test_standing import SOLD_AT
from tests.threads import race

Kind = Event.Kind
DEPTH = int(os.environ.get("RAKO_TEST_DEPTH", "1"))
PAYMENT = "pi_1"
LATER = timedelta(days=31)  # when the validation has ended


def told(kind, reference="r1", *, after=timedelta(hours=1), amount=None, sale=PAYMENT):
    return Told(kind, sale, reference, timezone.now() + after, amount)


def payment(recommendation):
    return record_conversion(recommendation, make_proof(reference=PAYMENT)).conversion


def report(recommendation):
    proof = make_proof(
        source=Evidence.Source.MERCHANT_REPORT,
        level=Level.MERCHANT_REPORTED,
        reference="order-1",
        sha256="cd" * 32,
    )
    return record_conversion(recommendation, proof).conversion


@pytest.fixture
def merchant_id(recommendation):
    return recommendation.offer.merchant_id


@pytest.fixture
def conversion(recommendation):
    return payment(recommendation)


def balances():
    rows = Posting.objects.values("account").annotate(total=Sum("amount_minor"))
    return {row["account"]: row["total"] for row in rows if row["total"]}


def kinds():
    return Counter(Entry.objects.filter(stream_id__in=Conversion.objects.values("pk")).values_list("kind", flat=True))


def last_facts():
    return orjson.loads(bytes(Entry.objects.latest("id").body))["facts"]


ACCRUED = {"merchant_accrued": 800, "builder_pending": -640, "fee_pending": -160}
CONFIRMED = {"merchant_receivable": 800, "builder_payable": -640, "fee_revenue": -160}


def test_a_sale_is_accrued_when_it_is_recorded(conversion):
    assert balances() == ACCRUED


def test_a_sale_that_is_validated_is_owed(conversion, merchant_id):
    moved = tell(merchant_id, told(Kind.VALIDATED, after=LATER))

    assert (moved.status, balances()) == (Status.VALIDATED, CONFIRMED)


def test_a_chargeback_after_validation_is_owed_by_nobody(conversion, merchant_id):
    tell(merchant_id, told(Kind.VALIDATED, after=LATER))

    moved = tell(merchant_id, told(Kind.DISPUTE_LOST, "d1"))

    assert (moved.status, balances()) == ("clawed_back", {})


def test_a_hold_is_seen_and_released_without_moving_money(conversion, merchant_id):
    held = tell(merchant_id, told(Kind.HELD, "velocity"))
    seen = (held.is_held, held.status, last_facts()["is_held"])
    released = tell(merchant_id, told(Kind.RELEASED, "velocity"))

    assert seen == (True, "pending_validation", True)
    assert (released.is_held, balances()) == (False, ACCRUED)


def test_each_event_is_one_entry_of_the_conversion_with_its_move(conversion, merchant_id):
    tell(merchant_id, told(Kind.REFUNDED, amount=1000))

    entry = Entry.objects.latest("id")
    assert (entry.stream_id, entry.kind, entry.stream_seq) == (conversion.pk, "conversion.refunded", 2)
    assert last_facts() == {
        "conversion_id": conversion.pk,
        "status_before": "pending_validation",
        "status": "clawed_back",
        "is_held": False,
        "retained": {"amount_minor": 0, "fee_minor": 0, "payout_minor": 0},
        "event_amount_minor": 1000,
        "validation_ends_at": last_facts()["validation_ends_at"],
    }


def test_the_session_shows_what_became_of_its_sale(conversion, merchant_id):
    tell(merchant_id, told(Kind.DISPUTE_OPENED, "d1"))

    conversion.session.refresh_from_db()
    assert conversion.session.status == "disputed"


def test_the_same_event_told_again_changes_nothing(conversion, merchant_id):
    event = told(Kind.REFUNDED, amount=1000)

    again = [tell(merchant_id, event).status for _ in range(3)]

    assert again == ["clawed_back"] * 3
    assert kinds() == {"conversion.recorded": 1, "conversion.refunded": 1}


def test_an_event_may_name_the_sale_by_the_merchants_order(recommendation, merchant_id):
    report(recommendation)

    assert tell(merchant_id, told(Kind.CANCELLED, sale="order-1")).status == "clawed_back"


def test_an_event_of_another_merchants_payment_finds_nothing(conversion):
    stranger = OfferFactory().merchant

    assert tell(stranger.pk, told(Kind.REFUNDED, amount=1000)) is None
    assert balances() == ACCRUED


def test_a_move_that_no_rule_allows_is_refused_and_leaves_no_trace(conversion, merchant_id):
    tell(merchant_id, told(Kind.FRAUD_FOUND))
    with pytest.raises(CannotMove):
        tell(merchant_id, told(Kind.VALIDATED, after=timedelta(days=1)))

    assert (Event.objects.count(), kinds()) == (1, {"conversion.recorded": 1, "conversion.fraud_found": 1})


def test_every_status_has_its_moves_and_settlement_none():
    assert set(MOVES) == set(Status)
    assert not MOVES[Status.SETTLEMENT_PENDING] | MOVES[Status.SETTLED]
    assert not any(Status.UNMATCHED in following for following in MOVES.values())


def test_a_conversion_is_never_unmatched(conversion):
    with pytest.raises(IntegrityError, match="conversion_status_is_known"), transaction.atomic():
        Conversion.objects.filter(pk=conversion.pk).update(status="unmatched")


FIVE = {
    "payment": payment,
    "report": report,
    "refund": lambda row: tell(row.offer.merchant_id, told(Kind.REFUNDED, amount=1000)),
    "opened": lambda row: tell(row.offer.merchant_id, told(Kind.DISPUTE_OPENED, "d1", after=timedelta(hours=2))),
    "lost": lambda row: tell(row.offer.merchant_id, told(Kind.DISPUTE_LOST, "d1", after=timedelta(hours=3))),
}


@pytest.mark.parametrize("order", list(itertools.permutations(FIVE)), ids="-".join)
def test_all_120_orders_of_five_events_end_alike(recommendation, order):
    for name in order:
        FIVE[name](recommendation)

    conversion = Conversion.objects.get()
    assert (conversion.status, conversion.verification_level, balances()) == ("clawed_back", "orchestrated", {})
    assert kinds() == {
        "conversion.recorded": 1,
        "evidence.attached": 1,
        "conversion.refunded": 1,
        "conversion.dispute_opened": 1,
        "conversion.dispute_lost": 1,
    }


WINNING = {
    "opened": lambda row: tell(row.offer.merchant_id, told(Kind.DISPUTE_OPENED, "d1", after=timedelta(hours=2))),
    "won": lambda row: tell(row.offer.merchant_id, told(Kind.DISPUTE_WON, "d1", after=timedelta(hours=3))),
    "refund": lambda row: tell(row.offer.merchant_id, told(Kind.REFUNDED, amount=1000)),
    "failed": lambda row: tell(row.offer.merchant_id, told(Kind.REFUND_FAILED)),
    "payment": payment,
}


@pytest.mark.parametrize("order", list(itertools.permutations(WINNING)), ids="-".join)
def test_a_refund_that_failed_and_a_dispute_that_was_won_leave_the_sale_whole(recommendation, order):
    for name in order:
        WINNING[name](recommendation)

    assert (Conversion.objects.get().status, balances()) == ("resolved", ACCRUED)


@pytest.mark.django_db(transaction=True)
def test_an_event_and_its_sale_told_at_once_find_each_other():
    for _ in range(3 * DEPTH):
        recommendation = RecommendationFactory()
        reference = f"pi_{recommendation.pk}"
        proof = make_proof(reference=reference, order_reference=f"aap:{recommendation.pk}")
        refund = told(Kind.REFUNDED, recommendation.pk, amount=1000, sale=reference)

        race(
            lambda n, row=recommendation, proof=proof, refund=refund: (
                tell(row.offer.merchant_id, refund) if n % 2 else record_conversion(row, proof)
            )
        )

        conversion = Conversion.objects.get(recommendation=recommendation)
        assert conversion.status == "clawed_back"
        assert Entry.objects.filter(stream_id=conversion.pk).count() == 2


@pytest.mark.django_db(transaction=True)
def test_eight_reversals_at_once_reverse_once():
    recommendation = RecommendationFactory()
    conversion = payment(recommendation)
    merchant_id = conversion.merchant_id

    outcomes = race(lambda n: tell(merchant_id, told([Kind.CANCELLED, Kind.DISPUTE_LOST][n % 2], f"r{n}")))

    assert [outcome.status for outcome in outcomes] == ["clawed_back"] * 8
    assert balances() == {}
    assert Entry.objects.filter(stream_id=conversion.pk, postings__isnull=False).distinct().count() == 2


def test_a_percentage_sheds_the_part_that_is_refunded(db):
    offer = OfferFactory(vertical="flights", price_minor=10000, terms={"type": "percentage", "rate": "5.00"})
    conversion = record_conversion(
        RecommendationFactory(offer=offer), make_proof(reference=PAYMENT, money=Money(10000, "GBP"))
    ).conversion

    moved = tell(offer.merchant_id, told(Kind.REFUNDED, amount=4000))

    assert moved.status == conversion.status
    assert balances() == {"merchant_accrued": 300, "builder_pending": -240, "fee_pending": -60}


def test_an_event_is_told_in_few_queries(conversion, merchant_id, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        tell(merchant_id, told(Kind.DISPUTE_OPENED, "d1"))


def test_postgres_lets_an_event_find_its_sale_once(recommendation, merchant_id):
    tell(merchant_id, told(Kind.REFUNDED, amount=1000))
    conversion = payment(recommendation)

    with pytest.raises(IntegrityError, match="belongs to a conversion already"), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_event SET conversion_id = %s", [conversion.pk])


def test_a_decision_about_an_unknown_sale_is_refused(merchant_id):
    with pytest.raises(CannotMove):
        tell(merchant_id, told(Kind.VALIDATED, after=LATER))

    assert not Event.objects.exists()


def test_validation_does_not_end_before_its_time(conversion, merchant_id):
    with pytest.raises(CannotMove):
        tell(merchant_id, told(Kind.VALIDATED, after=timedelta(days=1)))


OUTSIDE = [kind for kind in Kind if kind not in DECISIONS]


def test_what_happens_outside_is_never_refused_in_whatever_order_it_is_told():
    """All triples of events early and late, with and without a known validation end, in all orders."""
    moments = (SOLD_AT + timedelta(days=3), SOLD_AT + timedelta(days=40))
    choices = [Happening(kind, "r1", at, 1000) for kind in OUTSIDE for at in moments]
    choices.append(Happening(Kind.FRAUD_FOUND, "r2", moments[1], None))
    for ends_at in (None, SOLD_AT + timedelta(days=30)):
        sale = Sale(1000, ends_at, 30, lambda value: Split(800, 160, 640))
        for events in itertools.permutations(choices, 3):
            statuses = [derive(sale, events[:count]).status for count in range(4)]
            for before, after in itertools.pairwise(statuses):
                assert before == after or after in MOVES[before], (before, after, events)


def test_two_frauds_told_before_their_sale_do_not_block_it(recommendation, merchant_id):
    tell(merchant_id, told(Kind.FRAUD_FOUND, "f1"))
    tell(merchant_id, told(Kind.FRAUD_FOUND, "f2", after=timedelta(days=40)))

    assert payment(recommendation).status == "rejected"
