"""The ledger in the admin: it shows everything and takes nothing."""

import pytest

from ledger.conversions import record_conversion
from ledger.models import Conversion, Entry, Evidence
from tests import staff


@pytest.fixture
def conversion(recommendation, proof):
    return record_conversion(recommendation, proof(details={"note": "<script>"})).conversion


@pytest.mark.parametrize("model", [Conversion, Entry, Evidence])
@pytest.mark.parametrize("kind", ["add", "change", "delete"])
def test_the_ledger_refuses_even_a_superuser(conversion, model, kind):
    row = model.objects.get()
    before = model.objects.values().get()
    address = staff.page(model, kind, *(() if kind == "add" else (row.pk,)))

    reply = staff.superuser().post(address, {"status": "x", "reference": "x", "kind": "x", "post": "yes"})

    assert reply.status_code == 403
    assert model.objects.values().get() == before


def test_a_conversion_shows_its_money_its_evidence_and_its_entries(conversion):
    page = staff.shown(staff.superuser(), conversion)

    for text in ("10.00 GBP", "8.00 GBP", "1.60 GBP", "6.40 GBP", "pi_1", "conversion.recorded"):
        assert text in page
    assert bytes(Entry.objects.get().leaf_hash).hex() in page
    assert "&quot;fee_minor&quot;: 160" in page


def test_a_conversion_leads_to_session_recommendation_and_merchant(conversion):
    page = staff.shown(staff.superuser(), conversion)

    for row in (conversion.session, conversion.recommendation, conversion.merchant):
        assert staff.page(type(row), "change", row.pk) in page


def test_an_entry_shows_its_body_and_its_hash(conversion):
    entry = Entry.objects.get()

    page = staff.shown(staff.superuser(), entry)

    assert bytes(entry.leaf_hash).hex() in page
    assert f"&quot;conversion_id&quot;: &quot;{conversion.pk}&quot;" in page


def test_what_others_wrote_is_escaped(conversion):
    page = staff.shown(staff.superuser(), Evidence.objects.get())

    assert "&lt;script&gt;" in page


def test_the_list_sums_up_what_it_is_narrowed_to(conversion):
    boss = staff.superuser()

    whole = boss.get(staff.page(Conversion, "changelist"))
    none = boss.get(staff.page(Conversion, "changelist"), {"merchant__id__exact": "0" * 26})

    assert whole.context_data["totals"] == [
        {
            "count": "1",
            "transaction_value": "10.00 GBP",
            "commission": "8.00 GBP",
            "network_fee": "1.60 GBP",
            "builder_payout": "6.40 GBP",
        }
    ]
    assert none.context_data["totals"] == []
