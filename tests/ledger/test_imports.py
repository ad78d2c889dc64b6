"""Sales from a merchant's records: a result per row, safe to repeat, of the level `reconciled`."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from ledger.conversions import record_conversion
from ledger.models import Conversion, Entry, Evidence
from tests.factories import OfferFactory, RecommendationFactory
from tests.ledger.conftest import make_proof
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
        call_command("import_conversions", *arguments, stdout=out)
    except SystemExit as end:
        code = end.code
    return out.getvalue().splitlines(), code


def test_sales_are_imported_as_reconciled_and_again_known(offer, file):
    path = file(*lines_for(offer, 3))

    assert run(path, "--merchant", offer.merchant.name) == (["3 recorded, 0 attached, 0 known, 0 refused"], 0)
    assert run(path, "--merchant", offer.merchant_id) == (["0 recorded, 0 attached, 3 known, 0 refused"], 0)
    assert set(Conversion.objects.values_list("verification_level", flat=True)) == {"reconciled"}
    assert unsound() == []


def test_a_report_of_the_same_sale_is_known(offer, file, as_merchant):
    (line,) = lines_for(offer, 1)
    session, order, *_ = line.split(",")
    run(file(line), "--merchant", offer.merchant_id)

    body = {"sessionId": session, "orderReference": order, "transactionValue": 10}
    assert as_merchant(offer.merchant).post("/v1/conversions", body).status_code == 200
    assert Evidence.objects.count() == 1


def test_a_sale_that_a_payment_proved_is_confirmed(offer, file):
    recommendation = RecommendationFactory(offer=offer)
    record_conversion(recommendation, make_proof())

    out, code = run(file(f"{recommendation.session_id},ORDER-1,10,"), "--merchant", offer.merchant_id)

    assert (out, code) == (["0 recorded, 1 attached, 0 known, 0 refused"], 0)
    assert Conversion.objects.get().verification_level == "orchestrated"


def test_a_dry_run_tells_the_same_and_keeps_nothing(offer, file):
    path = file(*lines_for(offer, 3), "nobody,ORDER-9,1,")

    out, code = run(path, "--merchant", offer.merchant_id, "--dry-run")

    assert (out[-1], code) == ("3 recorded, 0 attached, 0 known, 1 refused (nothing was kept)", 3)
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
