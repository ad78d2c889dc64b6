"""A sale that was corrected: the verifier works out anew, from the signed terms, what may be left of it."""

import pytest

from ledger.dispute_decisions import accept
from ledger.models import Side
from tests.conftest import Api
from tests.factories import AgentKeyFactory
from tests.ledger.disputing import Kind, disputed, sold
from tests.ledger.log import publish_log
from tests.tools import forge as f

TEN_PERCENT = f.payload(com={"type": "percentage", "value": 10})


def moved(before, after):
    """The postings from one split to another, while the sale is in validation."""
    return [
        ["merchant_accrued", "GBP", after["amount_minor"] - before["amount_minor"]],
        ["builder_pending", "GBP", before["payout_minor"] - after["payout_minor"]],
        ["fee_pending", "GBP", before["fee_minor"] - after["fee_minor"]],
    ]


def corrected(*steps):
    """A sale of 12.00 at 10 %, and after it corrections: (value, amount left, fee left, minute)."""

    def change(bodies):
        sale = bodies[1]["facts"]
        left = f.split(120, 24)
        sale["commission"].update(type="percentage", gross_minor=120, **left)
        bodies[1]["postings"] = f.postings(120, 24)
        del bodies[2:]
        for number, (value, amount, fee, minute) in enumerate(steps, 2):
            facts = {
                "conversion_id": f.CONVERSION,
                "status_before": "pending_validation",
                "status": "pending_validation",
                "event_amount_minor": value,
                "retained": f.split(amount, fee),
            }
            postings = [line for line in moved(left, f.split(amount, fee)) if line[2]]
            bodies.append(f.entry(number, "conversion.corrected", minute, facts, postings=postings))
            left = f.split(amount, fee)

    return change


@pytest.mark.parametrize(
    "steps",
    [
        [(2400, 240, 48, 6)],
        [(600, 60, 12, 6)],
        [(2400, 240, 48, 6), (600, 60, 12, 7)],
        [(600, 60, 12, 6), (2400, 240, 48, 7)],
        # Told later, but it happened before: the other one still counts.
        [(2400, 240, 48, 8), (600, 240, 48, 7)],
        # Refunded before, in part: less is left than the corrected value gives.
        [(2400, 200, 40, 6)],
    ],
)
def test_a_correction_is_bounded_by_what_the_terms_give_for_it(verdict, steps):
    assert verdict(f.forge(corrected(*steps), terms=TEN_PERCENT).file) == (0, None)


@pytest.mark.parametrize(
    "steps",
    [
        # More than 10 % of the corrected value.
        [(2400, 241, 48, 6)],
        [(2400, 240, 49, 6)],
        [(600, 120, 24, 6)],
        # More than the last correction leaves, though an earlier one had it.
        [(2400, 240, 48, 6), (600, 240, 48, 7)],
        # To no value.
        [(None, 240, 48, 6)],
        [(0, 0, 0, 6)],
        [(-2400, 0, 0, 6)],
        [("2400", 240, 48, 6)],
        [(True, 0, 0, 6)],
    ],
)
def test_a_forged_correction_is_refused(verdict, steps):
    assert verdict(f.forge(corrected(*steps), terms=TEN_PERCENT).file) == (3, "lifecycle")


def test_what_is_no_correction_raises_nothing(verdict):
    def renamed(bodies):
        corrected((2400, 240, 48, 6))(bodies)
        bodies[2]["kind"] = "conversion.validated"

    assert verdict(f.forge(renamed, terms=TEN_PERCENT).file) == (3, "lifecycle")


@pytest.mark.parametrize("party", ["merchant", "agent"])
def test_a_real_sale_that_was_corrected_upwards_is_proven(as_merchant, tmp_path, verdict, party):
    sale = sold()
    accept(disputed(sale, Side.BUILDER, Kind.WRONG_AMOUNT, 150), Side.MERCHANT)
    publish_log(tmp_path / "signer")
    merchant, agent = as_merchant(sale.merchant), Api(AgentKeyFactory(agent=sale.agent).secret)

    proof = (merchant if party == "merchant" else agent).get(f"/v1/conversions/{sale.pk}/proof")

    assert proof.status_code == 200
    assert verdict(proof.content) == (0, None)
