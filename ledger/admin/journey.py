"""A sale's way in short, across streams: searched, recommended, checked out, paid, recorded, moved."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q

from ledger.admin.shown_entries import parse_body, stream_url
from ledger.models import Conversion, Entry, Evidence
from rako.core.admin_text import amount_text, change_url, money_text

_MOST = 100
_STAGES = {
    Evidence.Source.PSP_EVENT: "Payment",
    Evidence.Source.MERCHANT_REPORT: "Report",
    Evidence.Source.DECISION: "Decision",
    Evidence.Source.RECONCILIATION: "Reconciliation",
}
_Words = Callable[[dict[str, Any], Conversion], str]


class Step(NamedTuple):
    """One step, with the page that shows it and the stream it is from."""

    stage: str
    text: str
    at: datetime
    url: str
    stream_url: str


def journey(conversion: Conversion) -> list[Step]:
    """The steps to a sale and after it, in the order in which they were recorded; the first hundred.

    Load the conversion with recommendation, offer and agent.
    """
    # Of a recommendation its first entry alone: its clicks may be thousands.
    asked = Q(stream_id=conversion.recommendation_id, stream_seq=1)
    recorded = Entry.objects.filter(asked | Q(stream_id__in=_streams(conversion))).order_by("id")[:_MOST]
    proofs = {proof.sha256: proof for proof in conversion.evidence.all()}
    steps: list[Step] = []
    for entry in recorded:
        facts = parse_body(entry).get("facts") or {}
        steps += _payment(entry, facts, conversion, proofs)
        steps.append(_step(entry, facts, conversion))
    return steps


def _streams(conversion: Conversion) -> list[str]:
    recommendation: Any = conversion.recommendation  # checkouts belong to an app above
    receipts: Any = conversion
    return [
        conversion.session_id,
        *recommendation.checkouts.values_list("pk", flat=True)[:_MOST],
        *receipts.webhook_receipts.values_list("pk", flat=True)[:_MOST],
        conversion.pk,
    ]


def _payment(entry: Entry, facts: dict[str, Any], conversion: Conversion, proofs: dict[str, Evidence]) -> list[Step]:
    """The proof that an entry rests on, as the step before it."""
    proof = proofs.get(str(facts.get("evidence", {}).get("sha256"))) if "evidence" in facts else None
    if proof is None:
        return []
    stage = _STAGES[Evidence.Source(proof.source)]
    text = f"{money_text(proof.transaction_value_minor, proof.currency)}, {_plain(proof.level)}: {proof.reference}"
    return [Step(stage, text, proof.occurred_at, change_url(proof), stream_url(entry.stream_id))]


def _step(entry: Entry, facts: dict[str, Any], conversion: Conversion) -> Step:
    family, _, name = entry.kind.partition(".")
    words = _WORDS.get(entry.kind) or _WORDS.get(family) or _otherwise
    is_move = entry.stream_id == conversion.pk and entry.kind != "conversion.recorded"
    told = words(facts, conversion)
    text = told if name == "recorded" else f"{_plain(name)}: {told}".removesuffix(": ")
    stage = "Move" if is_move else _plain(family)
    return Step(
        stage.capitalize(),
        text[:1].upper() + text[1:],
        entry.recorded_at,
        change_url(entry),
        stream_url(entry.stream_id),
    )


def _search(_: dict[str, Any], conversion: Conversion) -> str:
    query = conversion.session.query  # the entry has no more than its hash
    asked = ", ".join(_asked(name, value, conversion.currency) for name, value in query.items()) or "everything"
    return f"{conversion.agent} asked for {asked}"


def _asked(name: str, value: Any, currency: str) -> str:
    # Prices were kept in minor units, without a currency: the sale's is the one meant.
    shown = amount_text(value, currency) if name.endswith("_price") and isinstance(value, int) else value
    return f"{_plain(name)} {shown}"


def _recommendation(_: dict[str, Any], conversion: Conversion) -> str:
    return str(conversion.offer)


def _checkout(facts: dict[str, Any], _: Conversion) -> str:
    return ", ".join(str(facts[name]) for name in ("mode", "backend") if name in facts)


def _recorded(_: dict[str, Any], conversion: Conversion) -> str:
    fee, payout, amount = (
        money_text(minor, conversion.currency)
        for minor in (conversion.network_fee_minor, conversion.builder_payout_minor, conversion.commission_minor)
    )
    return f"Commission {amount} = network fee {fee} + builder’s payout {payout}"


def _moved(facts: dict[str, Any], conversion: Conversion) -> str:
    before, after = _plain(facts.get("status_before")), _plain(facts.get("status"))
    left = money_text((facts.get("retained") or {}).get("amount_minor"), conversion.currency)
    return f"{f'{before} → {after}' if before != after else f'still {after}'}, commission left {left}"


def _milestone(facts: dict[str, Any], _: Conversion) -> str:
    return _plain(facts.get("milestone"))


def _refused(facts: dict[str, Any], _: Conversion) -> str:
    return f"check {_plain(facts['failed_check'])} failed" if facts.get("failed_check") else ""


def _otherwise(_facts: dict[str, Any], _conversion: Conversion) -> str:
    return ""


_WORDS: dict[str, _Words] = {
    "search.recorded": _search,
    "recommendation.recorded": _recommendation,
    "checkout": _checkout,
    "payment": _refused,
    "conversion.recorded": _recorded,
    "conversion": _moved,
    "milestone": _milestone,
}


def _plain(word: Any) -> str:
    return str(word).replace("_", " ")
