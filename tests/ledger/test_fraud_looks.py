"""Which sales are looked at, and how often: each of them, whatever the volume, and what they are compared with."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger import fraud_signals
from ledger.fraud_signals import check_all, check_signals
from ledger.models import Conversion, FraudHold, FraudLook
from merchants.models import Merchant
from sessions_app.models import Builder
from settlement.models import BankAccount
from tests.factories import AgentFactory, OfferFactory
from tests.ledger.disputing import findings, sell, sold
from tests.ledger.paths import Market


@pytest.fixture
def no_overlap(monkeypatch):
    monkeypatch.setattr(fraud_signals, "OVERLAP", timedelta(0))
    monkeypatch.setattr(fraud_signals, "CLOCK_SKEW", timedelta(0))


def turn_suspicious(sale):
    """From now on the parties of a sale share a domain."""
    Merchant.objects.filter(pk=sale.merchant_id).update(contact_email="a@shop.example")
    Builder.objects.filter(pk=sale.builder_id).update(email="b@shop.example")


def in_hours(hours):
    return [each.signal.rule for each in check_signals(now=timezone.now() + timedelta(hours=hours))]


@pytest.mark.parametrize("most", [1, 3, 5, 20])
def test_none_is_left_out_however_many_there_are(db, monkeypatch, most):
    monkeypatch.setattr(fraud_signals, "MOST", most)
    sell(AgentFactory(), OfferFactory(), 10)

    assert (len(check_signals(dry_run=True)), check_all(), check_all()) == (10, 10, 0)
    assert (Conversion.objects.filter(is_held=True).count(), findings()) == (10, [])


def test_a_sale_is_looked_at_when_it_is_new_and_a_day_and_three_days_old(db, no_overlap):
    sale = sold()
    assert in_hours(0.01) == []
    turn_suspicious(sale)

    found = {hours: in_hours(hours) for hours in (1, 23, 25, 26, 71, 73)}

    assert found == {1: [], 23: [], 25: ["shared_owner"], 26: [], 71: [], 73: []}


def test_the_last_look_finds_what_those_before_did_not(db, no_overlap):
    sale = sold()
    assert [in_hours(hours) for hours in (0.01, 25)] == [[], []]
    turn_suspicious(sale)

    assert [in_hours(hours) for hours in (71, 73, 100)] == [[], ["shared_owner"], []]


def test_a_worker_that_stood_still_leaves_out_nothing(db, no_overlap):
    assert in_hours(0) == []
    turn_suspicious(sold())

    assert in_hours(24 * 30) == ["shared_owner"]


def test_a_sale_that_was_committed_late_is_looked_at(db):
    turn_suspicious(sold())
    FraudLook.objects.create(days=0, last_id=fraud_signals._first_id(timezone.now() + timedelta(minutes=30)))

    assert in_hours(0) == ["shared_owner"]


def test_a_dry_run_goes_nowhere(db):
    turn_suspicious(sold())

    dry = [each.signal.rule for each in check_signals(dry_run=True)]

    assert (dry, FraudLook.objects.count(), FraudHold.objects.count()) == (["shared_owner"], 0, 0)
    assert in_hours(0) == ["shared_owner"]


def test_looks_side_by_side_do_not_go_back(db, no_overlap):
    in_hours(2)
    in_hours(1)

    assert FraudLook.objects.get(days=0).last_id >= fraud_signals._first_id(timezone.now() + timedelta(hours=1.9))


def test_a_sale_that_passed_to_a_better_path_is_no_second_one_of_its_payment(db):
    market = Market()
    for path in ("influence", "extension", "aap_flow"):
        assert market.report(market.ours, path, paymentReference="pi_1").status_code == 200

    assert (Conversion.objects.count(), check_signals()) == (3, [])


@pytest.mark.parametrize("name", ["name", "legal_name"])
def test_a_bank_account_in_the_merchants_name_tells_of_its_owner(db, name):
    sale = sold()
    Merchant.objects.filter(pk=sale.merchant_id).update(**{name: "Acme Travel Ltd."})
    BankAccount.objects.create(builder=sale.builder, currency="EUR", holder="ACME TRAVEL LIMITED", account={}, hint="1")
    BankAccount.objects.create(builder=sale.builder, currency="GBP", holder="Jo Smith", account={}, hint="2")

    assert in_hours(0) == ["shared_owner"]
