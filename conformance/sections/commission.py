"""Section 4: what a sale earns, reckoned from the terms of its signed code."""

from decimal import Decimal
from typing import Any

from conformance import codes, commission
from conformance.client import Party
from conformance.rules import NotTested, expect, must
from conformance.sections.links import click, convert
from conformance.world import Deal, World

# Values at which rounding at each step, half up, shows.
_VALUES = (Decimal("189.00"), Decimal("449.00"), Decimal("487.32"), Decimal("0.50"), Decimal("33.33"), Decimal(0))


def _expected(world: World, deal: Deal, value: Decimal, path: str) -> dict[str, Any]:
    parts = commission.split(deal.terms, value, path, world.subject.network_fee_percent)
    return parts | {"type": deal.terms["type"]}


def _holds(world: World, merchant: Party, deal: Deal, value: Decimal) -> None:
    sale = world.sell(deal, by=merchant, transactionValue=value)
    wanted = _expected(world, deal, value, "aap_flow")
    shown = {name: sale["commission"][name] for name in wanted}
    expect(shown == wanted, f"{deal.terms} of {value} makes {_plain(shown)}, not {_plain(wanted)}")


def _plain(parts: dict[str, Any]) -> str:
    return "/".join(str(parts[name]) for name in ("amount", "networkFee", "builderPayout"))


@must("4")
def commission_is_that_of_the_code(world: World) -> None:
    """Commission, network fee and payout of a reported sale are those of the signed terms."""
    deal, sale = world.sold
    wanted = _expected(world, deal, Decimal(sale["transactionValue"]), "aap_flow")
    shown = {name: sale["commission"][name] for name in wanted}
    expect(shown == wanted, f"it is {_plain(shown)}, not {_plain(wanted)}")


@must("4", "other_merchants")
def percentages_round_half_up_at_each_step(world: World) -> None:
    """Percentage and hybrid terms: half up to the penny at each step, for values where that shows."""
    tested = set()
    for merchant in world.subject.other_merchants:
        offer = world.offer_of(merchant)
        kind = codes.read(offer["aapCode"]).payload["com"]["type"]
        if kind != "cpa" and kind not in tested:
            tested.add(kind)
            for value in _VALUES:
                _holds(world, world.as_party(merchant.key), world.deal(offer), value)
    if not tested:
        raise NotTested("no merchant whose key is given pays a percentage")


@must("4")
def a_cpa_is_fixed(world: World) -> None:
    """A CPA is the same whatever the sale was worth; a sale for nothing is one, too."""
    if world.deal().terms["type"] != "cpa":
        raise NotTested("the merchant pays no CPA")
    for value in (Decimal(0), Decimal("0.01"), Decimal("999.99")):
        _holds(world, world.merchant, world.deal(), value)


@must("4")
def commission_splits_without_a_rest(world: World) -> None:
    """Fee and payout add up to the commission."""
    parts = world.sold[1]["commission"]
    expect(parts["networkFee"] + parts["builderPayout"] == parts["amount"], f"it splits {_plain(parts)}")


@must("4", "tracked_links")
def a_link_earns_three_quarters(world: World) -> None:
    """A sale by a tracked link earns 0.75 of the commission, rounded before the fee is taken."""
    deal = world.deal()
    click(world, deal)
    sale = convert(world, deal).accepted()
    wanted = _expected(world, deal, Decimal(deal.offer["price"]), "tracked_link")
    shown = {name: sale["commission"][name] for name in wanted}
    expect(shown == wanted, f"it is {_plain(shown)}, not {_plain(wanted)}")


@must("4")
def validation_lasts_as_long_as_the_vertical_has_it(world: World) -> None:
    """The validation period is the vertical's: 30 days for a SIM, 31 broadband, 42 energy, 14 insurance, 7 flights."""
    deal, sale = world.sold
    days = commission.VALIDATION_DAYS[deal.offer["vertical"]]
    expect(sale["validationPeriodDays"] == days, f"it is {sale['validationPeriodDays']} days, not {days}")
