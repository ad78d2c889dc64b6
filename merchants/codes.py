"""Issues and verifies AAP Codes for offers (protocol, section 2)."""

import time
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Subquery, TextField
from django.db.models.functions import Cast, JSONObject, Now

from merchants import keyring
from merchants.catalogue import ListedOffer, Terms, find_offer
from merchants.models import CommissionTerms
from merchants.models.offer import wire_commission
from rako.core import aap_code
from rako.core.aap_code import Code, CodeTerms, InvalidCode
from rako.core.errors import Gone, NotFound
from rako.core.ids import is_id
from rako.core.money import to_wire

# A code is the same for every agent, so one signature serves all searches for a while.
REUSE_SECONDS = 300
_REMEMBERED = 20_000
_issued: dict[tuple[Any, ...], tuple[int, str]] = {}


class OfferNotFound(NotFound):
    code, message = "offer_not_found", "Offer not found"


class OfferUnavailable(Gone):
    code, message = "offer_unavailable", "Offer no longer available"


def current_terms() -> Subquery:
    """For annotating offers: the terms in force now, as `{type, amount_minor, rate}`; null before any are."""
    in_force = CommissionTerms.objects.filter(offer=OuterRef("pk"), effective_from__lte=Now())
    # The rate travels as text: as a JSON number it would come back a float.
    fields = JSONObject(type="type", amount_minor="amount_minor", rate=Cast("rate", TextField()))
    return Subquery(in_force.order_by("-effective_from").values(terms=fields)[:1])


def code_for(offer: ListedOffer) -> str:
    """The code of an offer. Raises OfferUnavailable (no terms in force) or NoSigningKey."""
    terms = offer.terms
    if terms is None:
        raise OfferUnavailable()
    content = (offer.id, offer.provider, offer.name, offer.price_minor, offer.currency, terms)
    now = int(time.time())
    issued_at, text = _issued.get(content, (0, ""))
    if not now - REUSE_SECONDS < issued_at <= now:
        text = _issue(offer, terms, now)
        if len(_issued) >= _REMEMBERED:
            _issued.clear()
        _issued[content] = (now, text)
    return text


def forget() -> None:
    """Drop the codes this process remembers."""
    _issued.clear()


def _issue(offer: ListedOffer, terms: Terms, now: int) -> str:
    content = CodeTerms(
        offer_id=offer.id,
        merchant_id=offer.merchant_id,
        provider=offer.provider,
        product=offer.name,
        price=to_wire(offer.price_minor, offer.currency),
        currency=offer.currency,
        commission=wire_commission(terms.type, terms.amount_minor, terms.rate, offer.currency),
    )
    key = keyring.private_key_for(keyring.to_datetime(now))
    return aap_code.issue(content, key, issued_at=now)


def issue_for(offer_id: str, *, merchant_id: str | None = None) -> Code:
    """A code for an offer by its id, of one merchant if told. Raises OfferNotFound or OfferUnavailable."""
    return aap_code.decode(code_for(available_offer(offer_id, merchant_id=merchant_id)))


def available_offer(offer_id: str, *, merchant_id: str | None = None) -> ListedOffer:
    """An offer that can be recommended now, of one merchant if told. Raises OfferNotFound or OfferUnavailable."""
    offer = find_offer(offer_id) if is_id(offer_id) else None
    if offer is None or merchant_id not in (None, offer.merchant_id):
        raise OfferNotFound()
    if not offer.is_available:
        raise OfferUnavailable()
    return offer


def verify(text: str, *, at: datetime) -> Code:
    """The decoded code. Raises InvalidCode unless the key of its `iat` signed it and `at` lies in its life."""
    code = aap_code.decode(text)
    try:
        key = keyring.public_key_for(keyring.to_datetime(code.payload["iat"]))
    except (ValueError, OverflowError, OSError):
        key = None
    if key is None:
        raise InvalidCode("no key was published for its time")
    aap_code.check(code, key.key, at=int(at.timestamp()))
    return code
