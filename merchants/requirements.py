"""What a checkout of an offer needs of the buyer and the agent, per vertical (serves the MCP tool of section 5)."""

from dataclasses import dataclass
from typing import Any

from merchants.models import Offer
from merchants.verticals import VERTICALS
from rako.core.errors import BadRequest
from rako.core.money import to_wire
from rako.core.wire import camel


@dataclass(frozen=True, slots=True)
class Needs:
    """`fields` are collected on the merchant's pages, never by Rako; `confirmations` are for the agent to obtain."""

    fields: tuple[str, ...]
    confirmations: tuple[str, ...]
    eligibility: tuple[str, ...]


_PRICE = "The buyer has seen the price and who the merchant is."
_CONTRACT = "The buyer accepts the contract length."

_NEEDS = {
    "sim": Needs(("full_name", "email", "delivery_address"), (_PRICE, _CONTRACT), ("UK delivery address",)),
    "broadband": Needs(
        ("full_name", "email", "phone", "installation_address"),
        (_PRICE, _CONTRACT, "The buyer knows the set-up fee."),
        ("The service is available at the installation address",),
    ),
    "energy": Needs(
        ("full_name", "email", "supply_address", "meter_details"),
        (_PRICE, "The buyer knows the exit fee of the present and of the new tariff."),
        ("Responsible for the energy bill at the supply address",),
    ),
    "flights": Needs(
        ("passenger_names", "email", "phone"),
        (_PRICE, "Dates and passenger names are right: changes may cost.", "The buyer knows the refund rule."),
        ("Valid travel documents",),
    ),
    "hotels": Needs(
        ("guest_name", "email", "check_in", "check_out"),
        (_PRICE, "The buyer knows the cancellation rule."),
        ("Lead guest is 18 or older",),
    ),
    "insurance": Needs(
        ("full_name", "email", "date_of_birth", "risk_details"),
        (
            _PRICE,
            "The buyer has the policy summary and knows the cooling-off period.",
            "Answers are true and complete.",
        ),
        ("UK resident", "18 or older"),
    ),
}


_LONGEST_DETAIL = 500


def check_details(offer: Offer, details: dict[str, Any]) -> None:
    """Raises BadRequest if a field that the offer requires is given as anything but a text. Nothing is stored."""
    for name in _NEEDS[offer.vertical].fields:
        value = details.get(camel(name), details.get(name))
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= _LONGEST_DETAIL):
            raise BadRequest(f"userDetails.{camel(name)} must be a text of 1 to {_LONGEST_DETAIL} characters")


def requirements_of(offer: Offer) -> dict[str, Any]:
    """The requirements as they appear on the wire. Load the offer with its merchant."""
    needs, rules = _NEEDS[offer.vertical], VERTICALS[offer.vertical]
    criteria = {name: value for name, value in offer.criteria.items() if name in rules.criteria}
    return {
        "offerId": offer.pk,
        "vertical": offer.vertical,
        "requiredFields": list(needs.fields),
        "confirmations": list(needs.confirmations),
        "eligibility": [*needs.eligibility, *(["Credit check"] if criteria.get("requires_credit_check") else [])],
        "constraints": {
            "price": to_wire(offer.price_minor, offer.currency),
            "currency": offer.currency,
            "available": offer.is_available,
            "contractMonths": criteria.get("contract_months"),
            "sessionHours": 24,
        },
        "nextStep": "POST /v1/recommend, then POST /v1/checkout: the buyer pays on the merchant's own payment page."
        if offer.is_available
        else "This offer is not available any more: search again.",
    }
