"""While a processor says otherwise of a merchant's money, nothing of theirs is settled."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from checkout.connectors.sandbox import refunds
from checkout.models import Finding
from checkout.reconciliation.findings import accept
from ledger.lifecycle import CannotMove, Told, tell
from ledger.models import Conversion
from tests.checkout.psp import checkout_of, deliver, pay
from tests.checkout.reconciliation.story import (
    deliver_all,
    look,
    open_kinds,
    paid,
    sold,
    sql,
)
from tests.factories import RecommendationFactory

LATER = timedelta(days=31)


def start_settlement(conversion):
    tell(conversion.merchant_id, Told("validated", reference_of(conversion), "v", timezone.now() + LATER))
    told = Told("settlement_started", reference_of(conversion), "batch-1", timezone.now() + LATER)
    return tell(conversion.merchant_id, told)


def reference_of(conversion):
    return conversion.evidence.get().reference


def test_nothing_is_settled_while_a_psp_says_otherwise_of_the_money(checkout):
    refund = refunds.refund(sold(checkout), 300)
    sold_one, finding = Conversion.objects.get(), Finding.objects.filter(kind="refund_missing")
    look(checkout.connection)

    with pytest.raises(CannotMove, match="open findings"):
        start_settlement(sold_one)
    assert finding.get().is_money

    deliver_all(checkout.connection)
    look(checkout.connection)
    assert start_settlement(sold_one).status == "settlement_pending"
    assert refund.pk == finding.get().reference


def test_what_staff_accepted_holds_up_no_settlement(checkout):
    sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    look(checkout.connection)

    assert accept(Finding.objects.get(), "agreed with the merchant")

    assert start_settlement(Conversion.objects.get()).status == "settlement_pending"


def test_a_settlement_that_was_told_before_the_finding_may_be_told_again(checkout):
    sold(checkout)
    start_settlement(Conversion.objects.get())
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    look(checkout.connection)

    told = Told("settlement_started", paid(checkout).pk, "batch-1", timezone.now() + LATER)
    assert tell(checkout.merchant_id, told).status == "settlement_pending"


def test_other_merchants_are_settled_all_the_same(checkout):
    other = checkout_of(RecommendationFactory())
    sold(other)
    sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900 WHERE id = %s", paid(checkout).pk)
    look(checkout.connection)

    assert start_settlement(Conversion.objects.get(merchant=other.merchant_id)).status == "settlement_pending"


def test_what_is_not_about_money_holds_up_no_settlement(checkout):
    deliver(checkout.connection, pay(checkout)[0])
    look(checkout.connection)

    assert Finding.objects.get().kind == "webhook_gap"
    assert start_settlement(Conversion.objects.get()).status == "settlement_pending"


def test_accepted_findings_stay_accepted_until_they_say_something_else(checkout):
    sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    look(checkout.connection)
    accept(Finding.objects.get(), "agreed")

    assert open_kinds(checkout.connection) == set()

    sql("UPDATE sandbox_payment SET amount_minor = 800")
    assert open_kinds(checkout.connection) == {"amount_mismatch"}
    assert (Finding.objects.get().reason, Finding.objects.get().ended_at) == ("", None)


def test_a_finding_that_comes_back_is_open_again(checkout):
    sold(checkout)
    for amount, expected in itertools.islice(itertools.cycle([(900, {"amount_mismatch"}), (1000, set())]), 4):
        sql("UPDATE sandbox_payment SET amount_minor = %s", amount)

        assert open_kinds(checkout.connection) == expected

    assert Finding.objects.get().state == "resolved"


def test_only_what_is_open_is_accepted(checkout):
    sold(checkout)
    sql("UPDATE sandbox_payment SET amount_minor = 900")
    look(checkout.connection)
    finding = Finding.objects.get()

    assert (accept(finding, "first"), accept(finding, "second")) == (True, False)
    assert Finding.objects.get().reason == "first"
