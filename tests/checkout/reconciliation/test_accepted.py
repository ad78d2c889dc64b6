"""Findings that staff have accepted, and findings that come back."""

import itertools
from datetime import timedelta

from checkout.models import Finding
from checkout.reconciliation.findings import accept
from tests.checkout.reconciliation.story import (
    look,
    open_kinds,
    sold,
    sql,
)

LATER = timedelta(days=31)


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
