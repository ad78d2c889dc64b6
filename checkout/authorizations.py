"""Authorizations: the buyer's mandate for one autonomous purchase (protocol, section 1, POST /v1/purchase)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from checkout.models import Authorization, Checkout
from rako.core.errors import BadRequest, Conflict, Forbidden
from rako.core.facts import canonical
from rako.core.money import EXPONENTS, Money, from_wire
from rako.core.wire import InstantField, NumberField, TextField, WireSerializer, instant
from sessions_app.models import Recommendation


class NotAuthorized(Forbidden):
    code, message = "not_authorized", "The authorization does not cover this purchase"


class AuthorizationUsed(Conflict):
    code, message = "authorization_used", "The authorization was already used"


class AuthorizationRequest(WireSerializer):
    """One purchase, up to an amount, until a time, and at one merchant if it names one."""

    required_together = ("reference", "max_amount", "currency", "expires_at")
    reference = TextField(max_length=100)
    max_amount = NumberField()
    currency = TextField(max_length=3, one_of=list(EXPONENTS))
    expires_at = InstantField()
    merchant_id = TextField(required=False)


@dataclass(frozen=True, slots=True)
class Mandate:
    """A parsed authorization; the cap in minor units of its currency."""

    reference: str
    max_amount_minor: int
    currency: str
    expires_at: datetime
    merchant_id: str | None = None

    def check_covers(self, recommendation: Recommendation, money: Money) -> None:
        """Raises NotAuthorized with the reason."""
        if self.currency != money.currency:
            raise NotAuthorized(f"The authorization is in {self.currency}, the purchase in {money.currency}")
        if self.max_amount_minor < money.amount_minor:
            raise NotAuthorized(f"The authorization is for less than {money}")
        if self.expires_at <= timezone.now():
            raise NotAuthorized("The authorization has expired")
        if self.merchant_id not in (None, recommendation.offer.merchant_id):
            raise NotAuthorized("The authorization is for another merchant")


def parse_mandate(data: dict[str, Any]) -> Mandate:
    """The mandate in a request's `authorization`. Raises BadRequest with a sentence."""
    try:
        given = AuthorizationRequest.check(data)
        given["max_amount_minor"] = from_wire(given.pop("max_amount"), given["currency"])
    except BadRequest as error:
        raise BadRequest(f"authorization: {error}", code=error.code) from None
    except ValueError as error:
        raise BadRequest(f"authorization: maxAmount {error}", code="invalid_field") from None
    return Mandate(**given)


def use_mandate(mandate: Mandate, checkout: Checkout, *, agent_id: str) -> None:
    """Spend a mandate on a checkout. PostgreSQL refuses a second use: IntegrityError `authorization_single_use`."""
    Authorization.objects.create(
        agent_id=agent_id,
        reference=mandate.reference,
        checkout=checkout,
        max_amount_minor=mandate.max_amount_minor,
        currency=mandate.currency,
        expires_at=mandate.expires_at,
    )


def release_mandates(checkout: Checkout) -> str | None:
    """A charge that definitely did not happen gives its mandate back; the digest of it, if it had one."""
    if checkout.mode != Checkout.Mode.AUTONOMOUS:
        return None
    used = Authorization.objects.select_for_update().filter(checkout=checkout, released_at=None).first()
    if used is None:
        return None
    Authorization.objects.filter(pk=used.pk).update(released_at=timezone.now())
    return digest(used, agent_id=used.agent_id)


def digest(mandate: Mandate | Authorization, *, agent_id: str) -> str:
    """What the ledger says of a mandate: whoever has it can compute this, nobody else learns what it allows."""
    content = {
        "agent_id": agent_id,
        "reference": mandate.reference,
        "max_amount_minor": mandate.max_amount_minor,
        "currency": mandate.currency,
        "expires_at": instant(mandate.expires_at),
    }
    return hashlib.sha256(canonical(content)).hexdigest()
