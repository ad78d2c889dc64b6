"""Sales from a merchant's records: a result per row, safe to repeat, of the level `reconciled`."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ledger.conversions import record_conversion
from ledger.models import Conversion, Entry
from merchants.models import Merchant
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
from tests.ledger.paths import PATHS, Market, balances
from tests.ledger.sound import unsound

HEADER = "session_id,order_reference,transaction_value,occurred_at"


@pytest.fixture
def offer(db):
    return OfferFactory()


@pytest.fixture
def file(tmp_path):
    def write(*lines, header=HEADER):
        path = tmp_path / "sales.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def lines_for(offer, count):
    rows = [RecommendationFactory(offer=offer) for _ in range(count)]
    return [f"{row.session_id},ORDER-{number},10.00," for number, row in enumerate(rows)]


def run(*arguments):
    """The command's output, and how it ended."""
    out, code = StringIO(), 0
    try:
        call_command("import_conversions", "--quiet", *arguments, stdout=out)
    except SystemExit as end:
        code = end.code
    return out.getvalue().splitlines(), code


def test_sales_are_imported_as_reconciled_and_again_known(offer, file):
    path = file(*lines_for(offer, 3))

    assert run(path, "--merchant", offer.merchant.name) == (["3 recorded, 0 attached, 0 known, 0 refused"], 0)
    assert run(path, "--merchant", offer.merchant_id) == (["0 recorded, 0 attached, 3 known, 0 refused"], 0)
    assert set(Conversion.objects.values_list("verification_level", flat=True)) == {"reconciled"}
    assert unsound() == []


def reported(as_merchant, line, value=10):
    """The merchant's own report of the sale in a line."""
    session, order, *_ = line.split(",")
    body = {"sessionId": session, "orderReference": order, "transactionValue": value}
    assert as_merchant.post("/v1/conversions", body).status_code == 200


def proofs():
    """The one sale's level, what it rests on, and what its entries are."""
    sale = Conversion.objects.get(is_superseded=False)
    kinds = Entry.objects.filter(stream_id=sale.pk).order_by("stream_seq").values_list("kind", flat=True)
    return sale.verification_level, list(sale.evidence.order_by("pk").values_list("source", flat=True)), list(kinds)


@pytest.mark.parametrize("is_reported_first", [True, False])
def test_a_reported_sale_that_is_in_the_records_is_reconciled(offer, file, as_merchant, is_reported_first):
    (line,) = lines_for(offer, 1)
    steps = [lambda: reported(as_merchant(offer.merchant), line), lambda: run(file(line), "--merchant", "M")]
    Merchant.objects.update(name="M")

    for step in steps if is_reported_first else reversed(steps):
        step()
    again = run(file(line), "--merchant", "M")

    level, sources, kinds = proofs()
    assert (level, sorted(sources)) == ("reconciled", ["merchant_report", "reconciliation"])
    assert kinds == ["conversion.recorded", "evidence.attached"]
    assert again == (["0 recorded, 0 attached, 1 known, 0 refused"], 0)
    assert unsound() == []


def test_records_that_name_another_amount_contradict_and_certify_nothing(offer, file, as_merchant):
    (line,) = lines_for(offer, 1)
    reported(as_merchant(offer.merchant), line, 12)

    out, _ = run(file(line), "--merchant", offer.merchant_id)

    level, sources, kinds = proofs()
    assert (out, level) == (["0 recorded, 1 attached, 0 known, 0 refused"], "merchant_reported")
    assert (sources, kinds[-1]) == (["merchant_report", "reconciliation"], "evidence.contradicts")
    assert (Conversion.objects.get().transaction_value_minor, unsound()) == (1200, [])


def test_records_of_another_order_are_not_the_sessions_sale(offer, file, as_merchant):
    (line,) = lines_for(offer, 1)
    reported(as_merchant(offer.merchant), line)

    out, code = run(file(line.replace("ORDER-0", "ORDER-1")), "--merchant", offer.merchant_id)

    assert (out[0], code) == ("line 2: refused ORDER-1 Session already converted", 3)
    assert proofs()[0] == "merchant_reported"


@pytest.mark.parametrize("path", PATHS)
def test_records_confirm_a_sale_by_the_path_it_was_recorded_by(db, file, path):
    market = Market()
    market.report(market.ours, path)
    before = balances()

    out, code = run(file(f"{market.ours.session_id},ORDER-1,10,"), "--merchant", market.merchant.name)

    assert (out, code) == (["0 recorded, 1 attached, 0 known, 0 refused"], 0)
    assert (proofs()[0], Conversion.objects.get().attribution_path) == ("reconciled", path)
    assert (balances(), unsound()) == (before, [])


def test_records_that_come_long_after_the_sale_confirm_it(offer, file, as_merchant):
    begun = timezone.now() - timedelta(days=40)
    row = RecommendationFactory(offer=offer, session__created_at=begun, created_at=begun)
    body = {"sessionId": row.session_id, "orderReference": "O", "transactionValue": 10, "occurredAt": str(begun)}
    as_merchant(offer.merchant).post("/v1/conversions", body)

    out, _ = run(file(f"{row.session_id},O,10,"), "--merchant", offer.merchant_id)

    assert (out, proofs()[0]) == (["0 recorded, 1 attached, 0 known, 0 refused"], "reconciled")


def test_a_sale_that_a_payment_proved_is_confirmed(offer, file):
    recommendation = RecommendationFactory(offer=offer)
    record_conversion(recommendation, make_proof())

    out, code = run(file(f"{recommendation.session_id},ORDER-1,10,"), "--merchant", offer.merchant_id)

    assert (out, code) == (["0 recorded, 1 attached, 0 known, 0 refused"], 0)
    assert Conversion.objects.get().verification_level == "orchestrated"


def test_a_dry_run_tells_the_same_and_keeps_nothing(offer, file):
    path = file(*lines_for(offer, 3), "nobody,ORDER-9,1,")

    out, code = run(path, "--merchant", offer.merchant_id, "--dry-run")

    assert (out[-1], code) == ("3 recorded, 0 attached, 0 known, 1 refused (dry run, nothing kept)", 3)
    assert (Conversion.objects.count(), Entry.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("{session},X,-1,", "transactionValue must not be negative"),
        ("{session},X,ten,", "transactionValue must be a number"),
        ("{session},X,1e3,", "transactionValue must be a number"),
        ("{session},X,1.001,", "transactionValue has more than 2 decimal places"),
        ("{session},,1,", "sessionId, orderReference and transactionValue are required"),
        ("{session},X,1,yesterday", "occurredAt must be an ISO 8601 time with an offset"),
        ("{session},X,1", "the row has more or fewer cells than the header"),
        ("nobody,X,1,", "Session not found"),
    ],
)
def test_a_bad_row_is_named_and_spoils_no_other(offer, file, cells, why):
    good, bad = lines_for(offer, 2)

    out, code = run(file(cells.format(session=bad.split(",")[0]), good), "--merchant", offer.merchant_id)

    assert code == 3
    assert out[0].startswith("line 2: refused")
    assert out[0].endswith(why)
    assert out[-1] == "1 recorded, 0 attached, 0 known, 1 refused"


def test_a_column_may_name_the_merchant_row_by_row(offer, file):
    other = OfferFactory()
    lines = [f"{line},{row.merchant.name}" for row in (offer, other) for line in lines_for(row, 2)]

    out, code = run(file(*lines, f"{lines_for(offer, 1)[0]},Nobody", header=f"{HEADER},merchant"), "--json")

    assert [json.loads(line)["outcome"] for line in out[:-1]] == ["recorded"] * 4 + ["refused"]
    assert json.loads(out[-1]) == {"recorded": 4, "attached": 0, "known": 0, "refused": 1}
    assert code == 3


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("session_id,order_reference", "columns are missing: transactionValue"),
        (f"{HEADER},colour", "columns are unknown: colour"),
        (f"{HEADER},sessionId", "column sessionId is given twice"),
    ],
)
def test_a_file_without_the_right_columns_is_not_read(offer, file, header, why):
    with pytest.raises(CommandError, match=why) as refusal:
        run(file(header=header), "--merchant", offer.merchant_id)

    assert refusal.value.returncode == 1


def test_an_unknown_merchant_is_a_bad_argument(offer, file):
    with pytest.raises(CommandError) as refusal:
        run(file(), "--merchant", "Nobody")

    assert refusal.value.returncode == 2


def test_a_file_that_is_none_cannot_be_read(offer, tmp_path):
    with pytest.raises(CommandError) as refusal:
        run(tmp_path / "nothing.csv", "--merchant", offer.merchant_id)

    assert refusal.value.returncode == 1
