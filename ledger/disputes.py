"""Disputes by either side (protocol, sections 1 and 4): opened, argued and withdrawn. `dispute_decisions` ends them.

While a dispute is open its sale is held: no settlement takes it. What a side says, the other side reads.
"""

import hashlib
import secrets
from datetime import datetime

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone

from ledger.decisions import OURS, decide_of, hold_to_decide
from ledger.dispute_claims import CannotDispute, check_sale
from ledger.dispute_moves import AWAITING, DisputeMoved, due_at, move, state_of
from ledger.lifecycle import hold_session, holding_sales
from ledger.models import Dispute, DisputeStatement, Event, Side
from rako.core.errors import BadRequest, Conflict, Forbidden
from rako.core.facts import Fact, state
from rako.core.postgres import violated

Kind, State = Dispute.Kind, Dispute.State

# How often a side may change its mind about a sale, and how much it may say.
MOST_WITHDRAWN = 3
MOST_STATEMENTS = 100


class DisputeExists(Conflict):
    code, message = "dispute_exists", "This sale is in dispute, or was in the same one before"


@holding_sales
def open_dispute(dispute: Dispute, message: str = "") -> Dispute:
    """Store what `dispute_claims` made, with a first message, and hold its sale.

    Raises CannotDispute, SessionConverted or DisputeExists.
    """
    # From here on nobody else moves the sale, or records the one that is missing.
    if dispute.conversion is not None:
        hold_to_decide(dispute.conversion)
    else:
        hold_session(dispute.recommendation.session_id)
    check_sale(dispute)
    same = Dispute.objects.filter(recommendation=dispute.recommendation_id, opened_by=dispute.opened_by)
    if same.filter(state=State.WITHDRAWN).count() >= MOST_WITHDRAWN:
        raise CannotDispute("You withdrew disputes about this sale too often")
    try:
        with transaction.atomic():
            _store(dispute)
            if message:
                say(dispute, Side(dispute.opened_by), DisputeStatement.Kind.MESSAGE, message)
    except IntegrityError as error:
        if violated(error) not in {"dispute_one_open_per_recommendation", "dispute_decided_once"}:
            raise
        raise DisputeExists() from None
    dispute.refresh_from_db()
    return dispute


@transaction.atomic
def say(
    dispute: Dispute, side: Side, kind: DisputeStatement.Kind, text: str, *, description: str = "", sha256: str = ""
) -> DisputeStatement:
    """Add what a side says; the turn passes on if it was its own. Evidence has a hash: of a document, or of its text.

    Raises BadRequest or DisputeMoved.
    """
    dispute = lock(dispute)
    if dispute.is_ended:
        raise DisputeMoved(f"The dispute is {dispute.state}")
    if dispute.statements.filter(side=side).count() >= MOST_STATEMENTS:
        raise DisputeMoved(f"At most {MOST_STATEMENTS} messages and documents a side")
    said = DisputeStatement(dispute=dispute, kind=kind, side=side, text=text, salt=secrets.token_hex(16))
    if kind == DisputeStatement.Kind.EVIDENCE:
        said.description, said.sha256 = description, _document(text, sha256)
    fact = Fact(
        stream_id=dispute.pk,
        kind=f"dispute.{kind}_added",
        facts=said_facts(said),
        evidence_sha256=said.sha256 or None,
        occurred_at=said.said_at,
        idempotency_key=f"statement:{said.pk}",
        merchant_id=dispute.merchant_id,
        agent_id=dispute.agent_id,
    )
    state(fact, along_with=said)
    if dispute.state == AWAITING[side]:
        move(dispute, AWAITING[Side(dispute.opened_by)] if side != dispute.opened_by else State.UNDER_REVIEW)
    return said


@transaction.atomic
def withdraw(dispute: Dispute, side: Side) -> Dispute:
    """Give a dispute up: the sale stands as it was. Raises Forbidden for the other side, or DisputeMoved."""
    dispute = lock(dispute)
    if side != dispute.opened_by:
        raise Forbidden("Only who opened a dispute withdraws it")
    # The sale first, always: whoever opens another dispute about it holds the sale, and waits for this one's row.
    if dispute.conversion is not None and not dispute.is_ended:
        reference = reference_of(dispute)
        decide_of(dispute.conversion, Event.Kind.DISPUTE_WON, reference=reference, reason="dispute withdrawn")
    move(dispute, State.WITHDRAWN)
    return dispute


def review_overdue(now: datetime | None = None) -> int:
    """Put under review what nobody answered in time; how many."""
    late = Dispute.objects.filter(state__in=AWAITING.values(), due_at__lte=now or timezone.now())
    moved = 0
    for dispute in late.order_by("due_at")[:1000]:
        try:
            with transaction.atomic():
                move(dispute, State.UNDER_REVIEW)
            moved += 1
        except DisputeMoved:  # answered, withdrawn or conceded at this very moment
            continue
    return moved


def lock(dispute: Dispute) -> Dispute:
    """The dispute as it is now, for one transaction at a time."""
    rows = Dispute.objects.select_for_update(of=("self",), no_key=True).select_related("conversion")
    return rows.get(pk=dispute.pk)


def reference_of(dispute: Dispute) -> str:
    """What its events at the sale are told under: never a PSP's reference."""
    return f"{OURS}dispute:{dispute.pk}"


def said_facts(said: DisputeStatement) -> dict[str, str]:
    """What an entry tells of a statement: a salted hash of it."""
    return {
        "dispute_id": said.dispute_id,
        "statement_id": said.pk,
        "side": str(said.side),
        "content_sha256": hashlib.sha256(orjson.dumps(said.content(), option=orjson.OPT_SORT_KEYS)).hexdigest(),
    }


def _store(dispute: Dispute) -> None:
    # The sale first: its lifecycle locks it, and a row that refers to it already would stand in the way.
    if dispute.conversion is not None:
        reason = f"{dispute.kind} opened by the {dispute.opened_by}"
        decide_of(dispute.conversion, Event.Kind.DISPUTE_OPENED, reference=reference_of(dispute), reason=reason)
    dispute.due_at = due_at(State.OPEN, dispute.opened_at)
    dispute.save(force_insert=True)
    state_of(dispute, dispute.opened_at, {"order_reference": dispute.order_reference})
    move(dispute, State.UNDER_REVIEW if dispute.kind == Kind.MERCHANT_DISPUTE else AWAITING[dispute.other_side])


def _document(text: str, sha256: str) -> str:
    """The hash of a piece of evidence: the named document's, or its text's."""
    own = hashlib.sha256(text.encode()).hexdigest() if text else ""
    if not (own or sha256):
        raise BadRequest("sha256 or text is required", code="missing_fields")
    if own and sha256 and own != sha256:
        raise BadRequest("sha256 is not that of the text", code="invalid_field")
    return own or sha256
