"""The payout file is what the standard says, the same for the same orders, and never made without a debtor."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from rako.core.money import Money
from settlement.providers.bank_file import BankFile
from settlement.providers.base import NotConfigured, Order
from settlement.providers.registry import provider_here
from tests.settlement.payouts import BIC, GERMAN, IBAN

FILE, AT = "01K00000000000000000000000", datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
FIRST, SECOND = "01K00000000000000000000001", "01K00000000000000000000002"
NS = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}


def orders(currency="GBP", **changes):
    first = {"payout_id": FIRST, "money": Money(2560, currency), "holder": "Ada", "iban": IBAN, "bic": BIC}
    second = Order(SECOND, Money(100_000_001, currency), "Zoë & Søn", GERMAN)
    return [Order(**first | changes), second]


def made(currency="GBP", **changes):
    return BankFile().instructions(FILE, AT, orders(currency, **changes))


def nodes(xml, path):
    return list(ElementTree.fromstring(xml).iterfind(f".//p:{path}", NS))  # noqa: S314 - our own


def texts(xml, path):
    return [node.text for node in nodes(xml, path)]


@pytest.mark.parametrize("currency", sorted(BankFile.currencies))
def test_the_file_says_whom_to_pay_what(currency):
    xml = made(currency)

    assert [(node.text, node.get("Ccy")) for node in nodes(xml, "InstdAmt")] == [
        ("25.60", currency),
        ("1000000.01", currency),
    ]
    assert texts(xml, "EndToEndId") == [FIRST, SECOND]
    assert texts(xml, "CdtrAcct/p:Id/p:IBAN") == [IBAN, GERMAN]
    assert texts(xml, "Cdtr/p:Nm") == ["Ada", "Zoe & Son"]
    assert (texts(xml, "GrpHdr/p:CtrlSum"), texts(xml, "GrpHdr/p:NbOfTxs")) == (["1000025.61"], ["2"])
    assert texts(xml, "DbtrAcct/p:Id/p:IBAN") == ["GB33BUKB20201555555555"]
    assert texts(xml, "SvcLvl/p:Cd") == (["SEPA"] if currency == "EUR" else [])


def test_the_same_orders_make_the_same_file():
    assert made() == made()
    assert (FILE in made(), "2026-02-01T09:30:00.000Z" in made()) == (True, True)


@pytest.mark.parametrize("holder", ["<script>", "&amp;", '"', "ﬁ", "O'Brien"])
def test_a_holders_name_breaks_nothing(holder):
    assert len(texts(made(holder=holder), "Cdtr/p:Nm")) == 2


def test_orders_show_no_account():
    assert IBAN not in repr(orders()) + str(orders())


@pytest.mark.parametrize("name", ["NAME", "IBAN", "BIC"])
def test_without_a_debtor_there_is_no_file(settings, name):
    setattr(settings, f"RAKO_PAYOUT_DEBTOR_{name}", "")

    with pytest.raises(NotConfigured, match=f"RAKO_PAYOUT_DEBTOR_{name} must be set"):
        made()


def test_the_sandbox_pays_nobody_in_live_mode(settings):
    settings.RAKO_MODE = "live"

    with pytest.raises(NotConfigured):
        provider_here()
