"""The gate: the five checks that stand between a payment event and a conversion (protocol, section 3).

They are applied here and nowhere else, whatever the connector. All must hold; the first that fails names the
refusal. What cannot be decided is refused.
"""

from decimal import Decimal

from django.conf import settings

from checkout.connectors.base import OutcomeEvent, OutcomeType
from checkout.models import Checkout, WebhookReceipt
from ledger.evidence import PAYMENT_ORDER, SaleEvidence
from ledger.models import Evidence
from ledger.models.conversion import Level, Path
from merchants import codes
from rako.core.aap_code import Code, InvalidCode
from rako.core.money import from_wire
from sessions_app.models import Recommendation

AUTHENTIC = "authentic"
CODE_SIGNATURE = "code_signature"
CODE_AGREEMENT = "code_agreement"
AMOUNT = "amount"
PAYMENT_STATUS = "payment_status"


class Refused(Exception):
    """A check failed. `check` is one of the names above; the text says why, for both parties to read."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


def judge(receipt: WebhookReceipt, outcome: OutcomeEvent, checkout: Checkout) -> SaleEvidence:
    """The proof of a sale that an authenticated event gives. Raises Refused.

    Load the receipt with its connection, the checkout with recommendation, session and offer.
    """
    recommendation = checkout.recommendation
    _check_origin(receipt, outcome, checkout)
    code = _check_signature(outcome, recommendation)
    _check_agreement(code, outcome, checkout)
    _check_amount(code, outcome, recommendation)
    _check_status(outcome)
    assert outcome.money is not None, "the amount was checked"
    is_told = receipt.source == receipt.Source.WEBHOOK
    return SaleEvidence(
        source=Evidence.Source.PSP_EVENT,
        level=Level.ORCHESTRATED if is_told else Level.RECONCILED,
        path=Path.AAP_FLOW,
        reference=outcome.payment_ref,
        order_reference=PAYMENT_ORDER + checkout.pk,
        money=outcome.money,
        occurred_at=outcome.occurred_at,
        received_at=receipt.received_at,
        sha256=receipt.sha256,
        details={
            "event_id": receipt.event_id,
            "connection_id": receipt.connection_id,
            "receipt_id": receipt.pk,
            "evidence_source": "webhook" if is_told else "reconciliation import",
        },
    )


def _check_origin(receipt: WebhookReceipt, outcome: OutcomeEvent, checkout: Checkout) -> None:
    """1: authentic (the signature held before it was stored) and through the connection of the code's merchant."""
    connection = receipt.connection
    if outcome.account_id != connection.account_id or outcome.is_live != connection.is_live:
        raise Refused(AUTHENTIC, "The event is of another account or mode than the connection it came through")
    if checkout.connection_id != connection.pk:
        raise Refused(AUTHENTIC, "The event names a checkout that was not made through this connection")
    if checkout.merchant_id != connection.merchant_id:
        raise Refused(AUTHENTIC, "The event came through the connection of another merchant")


def _check_signature(outcome: OutcomeEvent, recommendation: Recommendation) -> Code:
    """2: the code is ours and was valid when it was recommended: a buyer may pay later than that."""
    text = outcome.metadata.get("aap_code", recommendation.aap_code)
    try:
        return codes.verify(text, at=recommendation.created_at)
    except InvalidCode as error:
        raise Refused(CODE_SIGNATURE, f"The AAP Code does not verify: {error}") from None


def _check_agreement(code: Code, outcome: OutcomeEvent, checkout: Checkout) -> None:
    """3: code, recommendation, offer, merchant and session all tell of the same thing."""
    recommendation = checkout.recommendation
    if code.text != recommendation.aap_code:
        raise Refused(CODE_AGREEMENT, "The AAP Code is not the one that was recommended")
    if code.payload["off"] != recommendation.offer_id or code.payload["mer"] != checkout.merchant_id:
        raise Refused(CODE_AGREEMENT, "The AAP Code names another offer or merchant")
    ours = {
        "aap_recommendation_id": recommendation.pk,
        "aap_session_id": checkout.session_id,
        "aap_offer_id": recommendation.offer_id,
        "aap_merchant_id": checkout.merchant_id,
        "aap_checkout_id": checkout.pk,
    }
    for name, value in ours.items():
        if outcome.metadata.get(name, value) != value:
            raise Refused(CODE_AGREEMENT, f"The payment's {name} disagrees with the recommendation")


def _check_amount(code: Code, outcome: OutcomeEvent, recommendation: Recommendation) -> None:
    """4: amount and currency agree with the code, within the vertical's tolerance."""
    if outcome.money is None:
        raise Refused(AMOUNT, "The event names no amount")
    if outcome.money.currency != code.payload["cur"]:
        raise Refused(AMOUNT, f"Paid in {outcome.money.currency}, but the AAP Code says {code.payload['cur']}")
    price = from_wire(code.payload["prc"], code.payload["cur"])
    tolerance = price * settings.RAKO_AMOUNT_TOLERANCES.get(recommendation.offer.vertical, Decimal(0)) / 100
    if abs(outcome.money.amount_minor - price) > tolerance or outcome.money.amount_minor <= 0:
        raise Refused(
            AMOUNT, f"Paid {outcome.money}, but the AAP Code says {code.payload['prc']} {code.payload['cur']}"
        )


def _check_status(outcome: OutcomeEvent) -> None:
    """5: completed and payable."""
    if outcome.type != OutcomeType.PAYMENT_SUCCEEDED or not outcome.is_complete:
        raise Refused(PAYMENT_STATUS, f"The payment is not complete: {outcome.status}")
