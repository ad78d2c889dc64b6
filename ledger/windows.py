"""When a sale must have happened to be credited to a recommendation, path by path (protocol, section 4)."""

from datetime import datetime, timedelta
from typing import Any

from rest_framework.exceptions import ValidationError

from ledger.models.conversion import Path
from rako.core.errors import BadRequest, Conflict, Forbidden
from rako.core.wire import InstantField
from sessions_app.models import Recommendation
from sessions_app.recommend import SessionExpired

# Clocks differ: a sale may be dated this far ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
LINK_WINDOW = EXTENSION_WINDOW = timedelta(days=30)
INFLUENCE_WINDOW = timedelta(hours=24)


class PathNotAccepted(Forbidden):
    code = "path_not_accepted"


class OutsideWindow(Conflict):
    code = "outside_window"


def check_proof(path: Path, evidence: dict[str, Any]) -> None:
    """Raises BadRequest unless a merchant's evidence is made of texts and says what its path rests on."""
    if not all(isinstance(value, str) for value in evidence.values()):
        raise BadRequest("evidence must be an object of texts", code="invalid_field")
    if path == Path.EXTENSION:
        _activation(evidence)
    if path == Path.INFLUENCE and not any(evidence.values()):
        raise BadRequest("evidence is required for influence", code="missing_fields")


def check_accepted(recommendation: Recommendation, path: Path) -> None:
    """Raises PathNotAccepted where the merchant has not agreed to pay for such sales (it has, of links and flows)."""
    merchant = recommendation.offer.merchant
    agreed = {Path.EXTENSION: merchant.accepts_extension, Path.INFLUENCE: merchant.accepts_influence}
    if not agreed.get(path, True):
        raise PathNotAccepted(f"The merchant has not agreed to pay for sales by {path!s}")


def check_time(recommendation: Recommendation, occurred_at: datetime, *, now: datetime) -> None:
    """Raises BadRequest for a sale before its recommendation, or in the future."""
    if occurred_at > now + CLOCK_SKEW:
        raise BadRequest("occurredAt lies in the future", code="invalid_field")
    if occurred_at < recommendation.created_at - CLOCK_SKEW:
        raise BadRequest("occurredAt lies before the recommendation", code="invalid_field")


def check_window(
    recommendation: Recommendation, path: Path, occurred_at: datetime, *, now: datetime, evidence: dict[str, Any]
) -> None:
    """Raises BadRequest for an impossible time, SessionExpired or OutsideWindow for one outside the path's window."""
    check_time(recommendation, occurred_at, now=now)
    match path:
        case Path.AAP_FLOW:
            _check_session(recommendation, occurred_at)
        case Path.TRACKED_LINK:
            _check_clicks(recommendation, occurred_at)
        case Path.EXTENSION:
            _check_activation(occurred_at, _activation(evidence))
        case Path.INFLUENCE:
            if occurred_at >= recommendation.created_at + INFLUENCE_WINDOW:
                raise OutsideWindow("The sale was not within 24 hours after the recommendation")


def _check_session(recommendation: Recommendation, occurred_at: datetime) -> None:
    session = recommendation.session
    if occurred_at < session.expires_at:
        return
    # A report that only confirms what is recorded may come, undated, long after.
    sale = session.conversions.filter(is_superseded=False, attribution_path=Path.AAP_FLOW)
    if not (session.is_converted and sale.exists()):
        raise SessionExpired()


def _check_clicks(recommendation: Recommendation, occurred_at: datetime) -> None:
    # Those of a flood count here: otherwise whoever floods a link would take its sales away.
    clicks = recommendation.clicks.filter(is_bot=False, clicked_at__lte=occurred_at)
    if not clicks.filter(clicked_at__gt=occurred_at - LINK_WINDOW).exists():
        raise OutsideWindow("Nobody followed the link within 30 days before the sale")


def _activation(evidence: dict[str, Any]) -> datetime:
    if not evidence.get("activatedAt"):
        raise BadRequest("evidence.activatedAt is required for extension", code="missing_fields")
    try:
        return InstantField().to_internal_value(evidence["activatedAt"])
    except ValidationError:
        raise BadRequest("evidence.activatedAt must be an ISO 8601 time with an offset", code="invalid_field") from None


def _check_activation(occurred_at: datetime, activated_at: datetime) -> None:
    if activated_at > occurred_at:
        raise BadRequest("evidence.activatedAt lies after the sale", code="invalid_field")
    if occurred_at >= activated_at + EXTENSION_WINDOW:
        raise OutsideWindow("The sale was not within 30 days after the extension was activated")
