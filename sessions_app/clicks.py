"""The public link of a recommendation: where it leads, and the log of who followed it."""

import hashlib
import hmac
import re
import time
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from django.conf import settings

from rako.core.errors import NotFound
from rako.core.facts import Fact, state
from rako.core.ids import is_id
from rako.core.postgres import prepared_cursor
from sessions_app.models import Click, Recommendation

SLOT_SECONDS = 600
# What tells a merchant where a visit, or a sale, comes from.
LINK_MARKS = {"utm_source": "aap", "utm_medium": "agent_referral"}
COOKIE = "aap_ref"
COOKIE_SECONDS = 30 * 24 * 3600
# More clicks than these in an hour are a flood: by one visitor on all links, and on one link.
_HOUR = 3600 // SLOT_SECONDS
VISITOR_LIMIT, LINK_LIMIT = 30, 300
# Browsers say so first, and programs that pretend to be one mostly say what they are. (A Cubot is a telephone.)
_BROWSER = re.compile(r"(?:Mozilla|Opera)/")
_BOT = re.compile(
    r"(?<!cu)bot|crawl|spider|slurp|preview|fetch|curl|wget|python|httpx|headless|phantomjs|lighthouse|monitor|scan"
    r"|externalhit|\+https?:|compatible; (?!msie)",
    re.IGNORECASE,
)
# No more rows than the limits are looked at, however many there are.
_FLOOD = """
SELECT (SELECT count(*) FROM (
        SELECT FROM sessions_app_click WHERE visitor = %s AND slot > %s LIMIT %s
    ) by_visitor) = %s
    OR (SELECT count(*) FROM (
        SELECT FROM sessions_app_click WHERE recommendation_id = %s AND slot > %s LIMIT %s
    ) on_link) = %s
"""


def find_link(recommendation_id: str) -> Recommendation:
    """The recommendation behind a link, with offer and merchant. Raises NotFound."""
    found: Recommendation | None = (
        Recommendation.objects.select_related("offer__merchant").filter(pk=recommendation_id).first()
        if is_id(recommendation_id)
        else None
    )
    # The registry is checked at import and in the form; checked again here, because a host may be struck off later.
    if found is None or not found.offer.merchant.serves(found.offer.url):
        raise NotFound()
    return found


def landing_url(recommendation: Recommendation) -> str:
    """The merchant's page with the three attribution parameters added to its own query."""
    parts = urlsplit(recommendation.offer.url)
    ours = LINK_MARKS | {"aap_ref": recommendation.pk}
    # The offer's own query stays as it was written: a shop may not understand it spelled otherwise.
    theirs = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in ours]
    return urlunsplit(parts._replace(query="&".join([*theirs, urlencode(ours)])))


def log_click(recommendation: Recommendation, *, address: str, user_agent: str) -> None:
    """Record a visit; the same visitor within ten minutes counts once, by a unique index.

    Bots and floods are recorded as such: nobody is turned away for them.
    """
    visitor, slot = _visitor(address, user_agent), int(time.time()) // SLOT_SECONDS
    click = Click(
        recommendation=recommendation,
        visitor=visitor,
        is_bot=is_bot(user_agent),
        is_flood=_is_flood(recommendation.pk, visitor, slot),
        slot=slot,
    )
    fact = Fact(
        stream_id=recommendation.pk,
        kind="click.recorded",
        facts={"recommendation_id": recommendation.pk, "is_bot": click.is_bot, "is_flood": click.is_flood},
        occurred_at=click.clicked_at,
        # The visitor is in no entry: only a hash that makes two visits one.
        idempotency_key="click:"
        + hashlib.sha256(f"{recommendation.pk}{click.visitor}{click.slot}".encode()).hexdigest(),
        merchant_id=recommendation.offer.merchant_id,
        agent_id=recommendation.agent_id,
    )
    state(fact, along_with=click, ignore_conflict=True)


def is_bot(user_agent: str) -> bool:
    """Whether a program follows the link, as far as it does not hide it."""
    return not _BROWSER.match(user_agent) or bool(_BOT.search(user_agent))


def _is_flood(recommendation_id: str, visitor: str, slot: int) -> bool:
    since = slot - _HOUR
    values: list[Any] = [visitor, since, VISITOR_LIMIT, VISITOR_LIMIT, recommendation_id, since, LINK_LIMIT, LINK_LIMIT]
    with prepared_cursor() as cursor:
        cursor.execute(_FLOOD, values)
        return bool(cursor.fetchone()[0])


def _visitor(address: str, user_agent: str) -> str:
    """A keyed hash, so that the log holds no personal data and cannot be reversed by trying addresses."""
    message = f"{address}\n{user_agent}".encode()
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()[:32]
