"""The six verticals: typed criteria, commission floors, validation periods (protocol, sections 1 and 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rako.core.errors import BadRequest

MAX_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class Criterion:
    """One typed property of an offer. `kind`: int, decimal, bool, text, int_or_unlimited; `choices` closes a text."""

    kind: str
    choices: tuple[str, ...] = ()
    required: bool = True
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Vertical:
    """A market with its rules.

    `floor_cpa_minor` and `floor_rate` (percent) are the least a commission may be; a commission type for which the
    protocol names no floor is not offered in that vertical, since its floor could otherwise be walked around.
    `validation_starts`: conversion, payable_milestone, policy_start or service_date; in the second and third case that
    is one of the `milestones` that merchants report of a sale, the `payable_milestone`.
    """

    criteria: Mapping[str, Criterion]
    floor_cpa_minor: int | None
    floor_rate: Decimal | None
    validation_days: int
    validation_starts: str
    milestones: tuple[str, ...] = ()
    payable_milestone: str | None = None


def _int(minimum: int = 0) -> Criterion:
    return Criterion("int", minimum=minimum)


def _text(*choices: str) -> Criterion:
    return Criterion("text", choices)


_INT, _DECIMAL, _BOOL, _UNLIMITED = _int(), Criterion("decimal"), Criterion("bool"), Criterion("int_or_unlimited")

_CONNECTION = ("approved", "install_scheduled", "service_activated", "first_bill_paid")

VERTICALS: dict[str, Vertical] = {
    "sim": Vertical(
        criteria={
            "data_gb": _UNLIMITED,
            "minutes": _UNLIMITED,
            "texts": _UNLIMITED,
            "contract_months": _INT,
            "network": _text(),
            "requires_credit_check": _BOOL,
            "5g": _BOOL,
            "eu_roaming_included": _BOOL,
        },
        floor_cpa_minor=300,
        floor_rate=None,
        validation_days=30,
        validation_starts="conversion",
    ),
    "broadband": Vertical(
        criteria={
            "download_mbps": _int(1),
            "upload_mbps": _INT,
            "technology": _text("fttp", "fttc", "cable", "5g"),
            "contract_months": _INT,
            "setup_fee": _DECIMAL,
            "router_included": _BOOL,
            "landline_included": _BOOL,
        },
        floor_cpa_minor=800,
        floor_rate=None,
        validation_days=31,
        validation_starts="payable_milestone",
        milestones=_CONNECTION,
        payable_milestone="service_activated",
    ),
    "energy": Vertical(
        criteria={
            "tariff_type": _text("fixed", "variable", "tracker"),
            "fuel": _text("dual", "electricity", "gas"),
            "contract_months": _INT,
            "exit_fee": _DECIMAL,
            "renewable_percent": _INT,
            "smart_meter_required": _BOOL,
            "electricity_unit_rate": Criterion("decimal", required=False),
            "gas_unit_rate": Criterion("decimal", required=False),
            "standing_charge": _DECIMAL,
        },
        floor_cpa_minor=1000,
        floor_rate=None,
        validation_days=42,
        validation_starts="payable_milestone",
        milestones=_CONNECTION,
        payable_milestone="service_activated",
    ),
    "flights": Vertical(
        criteria={
            "origin": _text(),
            "destination": _text(),
            "airline": _text(),
            "cabin": _text("economy", "premium_economy", "business", "first"),
            "stops": _INT,
            "checked_bags": _INT,
            "refundable": _BOOL,
        },
        floor_cpa_minor=None,
        floor_rate=Decimal(1),
        validation_days=7,
        validation_starts="service_date",
    ),
    "hotels": Vertical(
        criteria={
            "city": _text(),
            "country": _text(),
            "stars": _int(1),
            "board": _text("room_only", "breakfast", "half_board", "full_board", "all_inclusive"),
            "free_cancellation": _BOOL,
            "max_guests": _int(1),
        },
        floor_cpa_minor=None,
        floor_rate=Decimal(2),
        validation_days=0,
        validation_starts="service_date",
    ),
    "insurance": Vertical(
        criteria={
            "product": _text("car", "home", "travel", "pet", "van", "motorbike"),
            "cover": _text(
                "comprehensive", "third_party", "third_party_fire_theft", "buildings", "contents",
                "buildings_contents", "single_trip", "annual", "lifetime", "accident_only",
            ),
            "excess": _DECIMAL,
            "term_months": _int(1),
            "cooling_off_days": _int(14),
        },
        floor_cpa_minor=1500,
        floor_rate=Decimal(2),
        validation_days=14,
        validation_starts="policy_start",
        milestones=("approved", "policy_started", "first_bill_paid"),
        payable_milestone="policy_started",
    ),
}  # fmt: skip

CHOICES = [(name, name) for name in VERTICALS]


def check_criteria(vertical: str, criteria: object) -> dict[str, Any]:
    """The criteria as they may be stored. Raises BadRequest naming the first that is missing, unknown or mistyped."""
    if not isinstance(criteria, dict):
        raise BadRequest("criteria must be an object")
    known = VERTICALS[vertical].criteria
    if unknown := sorted(set(criteria) - set(known)):
        raise BadRequest(f"criteria.{unknown[0]} is unknown for {vertical}")
    for name, criterion in known.items():
        if criteria.get(name) is None:
            if criterion.required:
                raise BadRequest(f"criteria.{name} is required for {vertical}")
        elif problem := _problem(criterion, criteria[name]):
            raise BadRequest(f"criteria.{name} {problem}")
    return {name: criteria[name] for name in known if criteria.get(name) is not None}


def _problem(criterion: Criterion, value: Any) -> str:
    if criterion.kind == "bool":
        return "" if isinstance(value, bool) else "must be true or false"
    if criterion.kind == "text":
        return _text_problem(criterion, value)
    if criterion.kind == "int_or_unlimited" and value == "unlimited":
        return ""
    return _number_problem(criterion, value)


def _text_problem(criterion: Criterion, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 80:
        return "must be a text of 1 to 80 characters"
    if criterion.choices and value not in criterion.choices:
        return f"must be one of {', '.join(criterion.choices)}"
    return ""


def _number_problem(criterion: Criterion, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int if criterion.kind != "decimal" else int | float):
        return "must be a number" if criterion.kind == "decimal" else "must be a whole number"
    if not criterion.minimum <= value <= MAX_NUMBER:
        return f"must be between {criterion.minimum} and {MAX_NUMBER}"
    return ""


def parse_criterion(vertical: str, name: str, text: str) -> Any:
    """A criterion's value from a CSV cell. Raises BadRequest with a sentence."""
    criterion = VERTICALS[vertical].criteria.get(name)
    if criterion is None:
        raise BadRequest(f"criteria.{name} is unknown for {vertical}")
    if criterion.kind == "text" or (criterion.kind == "int_or_unlimited" and text == "unlimited"):
        return text
    if criterion.kind == "bool":
        if text not in {"true", "false"}:
            raise BadRequest(f"criteria.{name} must be true or false")
        return text == "true"
    try:
        return float(text) if criterion.kind == "decimal" else int(text)
    except ValueError:
        raise BadRequest(f"criteria.{name} must be a number") from None
