import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from merchants.imports import import_rows, read_offers
from merchants.models import CommissionTerms, Merchant, Offer
from rako.core.csv_rows import BadFile

pytestmark = pytest.mark.django_db

SIM_ROW = {
    "merchant": "SMARTY", "merchant_url": "https://shop.example", "vertical": "sim", "provider": "SMARTY",
    "name": "SMARTY 1GB", "price": "6.00", "currency": "GBP", "intro_price": "", "intro_months": "",
    "commission_type": "cpa", "commission_value": "8.00", "commission_min": "", "url": "https://shop.example/1gb",
    "status": "active", "criteria.data_gb": "1", "criteria.minutes": "unlimited", "criteria.texts": "unlimited",
    "criteria.contract_months": "0", "criteria.network": "Three", "criteria.requires_credit_check": "false",
    "criteria.5g": "true", "criteria.eu_roaming_included": "true",
}  # fmt: skip
FLIGHT_ROW = SIM_ROW | {name: "" for name in SIM_ROW if name.startswith("criteria.")} | {
    "vertical": "flights", "name": "LHR-JFK", "commission_type": "percentage", "commission_value": "5",
    "criteria.origin": "LHR", "criteria.destination": "JFK", "criteria.airline": "Skylark",
    "criteria.cabin": "economy", "criteria.stops": "0", "criteria.checked_bags": "1", "criteria.refundable": "false",
}  # fmt: skip
GOOD = SIM_ROW | {"name": "Good one"}


@pytest.fixture
def csv_of(tmp_path):
    def write(*rows, newline="\n", prefix="", encoding="utf-8"):
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [names, *([row.get(name, "") for name in names] for row in rows)]
        text = newline.join(",".join(f'"{cell}"' for cell in line) for line in lines) + newline
        path = tmp_path / "offers.csv"
        path.write_bytes((prefix + text).encode(encoding))
        return path

    return write


def outcomes(path):
    return [result.outcome for result in import_rows(read_offers(path))]


def test_a_new_row_makes_merchant_offer_and_terms(csv_of):
    [result] = import_rows(read_offers(csv_of(SIM_ROW)))

    offer = Offer.objects.select_related("merchant").get()
    assert (result.line, result.outcome, result.subject) == (2, "created", "SMARTY SMARTY 1GB")
    assert (offer.merchant.hosts, offer.price_minor, offer.data_gb, offer.terms.get().amount_minor) == (
        ["shop.example"], 600, 1, 800)  # fmt: skip


def test_the_same_file_again_changes_nothing(csv_of):
    path = csv_of(SIM_ROW, FLIGHT_ROW)
    outcomes(path)
    before = list(Offer.objects.values()), list(CommissionTerms.objects.values())

    assert outcomes(path) == ["unchanged", "unchanged"]
    assert (list(Offer.objects.values()), list(CommissionTerms.objects.values())) == before


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"price": "7"}, "price_minor", 700),
        ({"status": "withdrawn"}, "status", "withdrawn"),
        ({"url": "https://shop.example/new"}, "url", "https://shop.example/new"),
        ({"criteria.data_gb": "unlimited"}, "data_gb", 2_147_483_647),
        ({"intro_price": "1", "intro_months": "3"}, "intro_months", 3),
    ],
)
def test_a_changed_row_updates_its_offer(csv_of, change, field, value):
    outcomes(csv_of(SIM_ROW))

    assert outcomes(csv_of(SIM_ROW | change)) == ["updated"]
    assert Offer.objects.values_list(field, flat=True).get() == value


def test_an_offer_never_changes_its_currency(csv_of):
    outcomes(csv_of(SIM_ROW))

    assert outcomes(csv_of(SIM_ROW | {"currency": "EUR"})) == ["refused"]
    assert Offer.objects.get().currency == "GBP"


def test_new_terms_supersede_the_old_ones_which_stay(csv_of):
    outcomes(csv_of(SIM_ROW))

    assert outcomes(csv_of(SIM_ROW | {"commission_value": "9"})) == ["updated"]
    assert list(CommissionTerms.objects.values_list("amount_minor", flat=True)) == [900, 800]


BAD = {
    "price": ["", "free", "-1", "0", "1.005", "1e9999999", "99999999999", "NaN", "£6", "1e1000000"],
    "vertical": ["", "cars", "SIM"],
    "currency": ["JPY", "gbp"],
    "commission_type": ["", "gift", "CPA"],
    "commission_value": ["", "lots", "2.99", "-8", "inf"],
    "url": ["", "https://evil.example/", "javascript:alert(1)", "https://shop.example@evil.example/", "shop.example"],
    "merchant_url": ["", "https://other.example", "https://127.0.0.1", "https://[::1", "localhost"],
    "merchant": ["", "x" * 121],
    "provider": ["", "x" * 61, "x" * 2001],
    "name": ["", "x" * 71],
    "status": ["gone"],
    "intro_price": ["1", "6"],
    "intro_months": ["3", "three"],
    "criteria.data_gb": ["", "lots", "1.5", "-1", "9" * 5000, "1000001"],
    "criteria.5g": ["", "yes", "True", "1"],
    "criteria.network": ["", "x" * 81],
    "criteria.contract_months": ["", "twelve"],
    "criteria.stars": ["5"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_row_is_refused_with_a_reason_and_spoils_no_other(csv_of, name, value):
    bad = {"name": "Bad one"} | {name: value}
    path = csv_of(GOOD | {"name": "First"}, SIM_ROW | {"merchant": "New"} | bad | {name: value}, GOOD)

    results = list(import_rows(read_offers(path)))

    assert [result.outcome for result in results] == ["created", "refused", "created"]
    assert results[1].detail
    assert not Merchant.objects.filter(name="New").exists()


@pytest.mark.parametrize("value", ["", "1e30", "1e1000000", "NaN", "inf", "sNaN", "5.0001", "0.999", "100.001", "5 %"])
def test_a_bad_percentage_is_refused_and_spoils_no_other(csv_of, value):
    path = csv_of(FLIGHT_ROW | {"commission_value": value}, GOOD)

    assert outcomes(path) == ["refused", "created"]


def test_a_result_that_was_told_is_stored(csv_of):
    rows = import_rows(read_offers(csv_of(SIM_ROW, GOOD)))

    told = next(rows)
    rows.close()  # whoever reads the results stops here

    assert (told.outcome, Offer.objects.count()) == ("created", 1)


def test_a_row_of_another_vertical_cannot_replace_an_offer_with_terms(csv_of):
    outcomes(csv_of(SIM_ROW))

    assert outcomes(csv_of(FLIGHT_ROW | {"name": SIM_ROW["name"]})) == ["refused"]
    assert Offer.objects.get().vertical == "sim"


def test_duplicate_rows_are_one_offer(csv_of):
    assert outcomes(csv_of(SIM_ROW, SIM_ROW, SIM_ROW | {"price": "7"})) == ["created", "unchanged", "updated"]


@pytest.mark.parametrize(
    "options", [{"prefix": "\ufeff"}, {"newline": "\r\n"}, {"prefix": "\ufeff", "newline": "\r\n"}]
)
def test_files_of_spreadsheets_are_read(csv_of, options):
    assert outcomes(csv_of(SIM_ROW, GOOD, **options)) == ["created", "created"]


def test_cells_are_stripped_and_empty_lines_skipped(csv_of):
    path = csv_of(SIM_ROW | {"name": "  SMARTY 1GB "})
    path.write_text(path.read_text() + "\n\n")

    assert (outcomes(path), Offer.objects.get().name) == (["created"], "SMARTY 1GB")


@pytest.mark.parametrize("cells", ["a,b", ",".join(["x"] * 60)])
def test_a_ragged_row_is_refused_and_spoils_no_other(csv_of, cells):
    path = csv_of(SIM_ROW, GOOD)
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, cells, *lines]))

    results = list(import_rows(read_offers(path)))

    assert [(result.line, result.outcome) for result in results] == [(2, "refused"), (3, "created"), (4, "created")]
    assert "cells" in results[0].detail


def test_a_row_with_nul_is_refused_and_spoils_no_other(csv_of):
    assert outcomes(csv_of(SIM_ROW | {"name": "a\x00b"}, GOOD)) == ["refused", "created"]


@pytest.mark.parametrize("name", ["merchant", "vertical", "price", "url", "commission_type"])
def test_a_missing_column_is_named(csv_of, name):
    path = csv_of({key: value for key, value in SIM_ROW.items() if key != name})

    with pytest.raises(BadFile, match=f"columns are missing: {name}"):
        read_offers(path)


@pytest.mark.parametrize("name", ["comission_min", "criteria.wings", "criteria", ""])
def test_an_unknown_column_is_named(csv_of, name):
    with pytest.raises(BadFile, match=f"columns are unknown: {name}"):
        read_offers(csv_of(SIM_ROW | {name: ""}))


def test_a_column_given_twice_is_named(csv_of):
    path = csv_of(SIM_ROW)
    header, line = path.read_text().splitlines()
    path.write_text(f'{header},"price"\n{line},"0.01"\n')

    with pytest.raises(BadFile, match="price"):
        read_offers(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b'"unclosed', "é".encode("latin-1"), b"\x00"])
def test_what_is_no_csv_file_of_ours_is_refused_as_a_whole(tmp_path, content):
    (tmp_path / "offers.csv").write_bytes(content)

    with pytest.raises(BadFile):
        read_offers(tmp_path / "offers.csv")


def test_a_file_that_stops_being_utf_8_is_refused_as_a_whole(csv_of):
    path = csv_of(SIM_ROW, SIM_ROW | {"name": "Café"}, encoding="latin-1")

    with pytest.raises(BadFile, match="UTF-8"):
        read_offers(path)


def imported(path, *options):
    """What the command prints, and its exit code."""
    out = StringIO()
    try:
        call_command("import_offers", str(path), *options, stdout=out)
    except SystemExit as exit_:
        return out.getvalue(), exit_.code
    return out.getvalue(), 0


def test_the_command_ends_with_the_tally(csv_of):
    printed, code = imported(csv_of(SIM_ROW, GOOD))

    assert printed.splitlines() == [
        "line 2: created SMARTY SMARTY 1GB",
        "line 3: created SMARTY Good one",
        "2 created, 0 updated, 0 unchanged, 0 refused",
    ]
    assert code == 0


def test_refused_rows_are_exit_code_3(csv_of):
    printed, code = imported(csv_of(SIM_ROW | {"price": "free"}, GOOD), "--quiet")

    assert printed.splitlines() == [
        "line 2: refused SMARTY SMARTY 1GB price must be a number",
        "1 created, 0 updated, 0 unchanged, 1 refused",
    ]
    assert code == 3


def test_programs_read_a_json_object_per_line(csv_of):
    printed, code = imported(csv_of(SIM_ROW, SIM_ROW | {"name": "B", "price": "0"}), "--json")

    first, second, tally = (json.loads(line) for line in printed.splitlines())
    assert first == {"line": 2, "outcome": "created", "subject": "SMARTY SMARTY 1GB", "detail": ""}
    assert (second["outcome"], bool(second["detail"]), tally["refused"], code) == ("refused", True, 1, 3)


@pytest.mark.parametrize("name", ["nowhere.csv", ""])
def test_a_file_that_cannot_be_read_is_exit_code_1(tmp_path, name):
    with pytest.raises(CommandError) as raised:
        call_command("import_offers", str(tmp_path / name))
    assert raised.value.returncode == 1
