"""What a model reads beside the structured content: short, with every id that the next call needs."""

from typing import Any

from merchants.verticals import VERTICALS

Reply = dict[str, Any]


def money(amount: float, currency: str) -> str:
    """An amount in major units, as a person writes it."""
    return f"{amount:.2f} {currency}"


def offers_text(reply: Reply, vertical: str | None) -> str:
    """The offers of a search, one a line, and what to do next."""
    session = f"session_id {reply['sessionId']}, open until {reply['expiresAt']}"
    if not reply["offers"]:
        known = ", ".join(VERTICALS)
        hint = f" There is no vertical {vertical!r}." if vertical and vertical not in VERTICALS else ""
        return f"No offer matches ({session}).{hint} Ask for less, or for another vertical: {known}."
    lines = [f"{reply['count']} offers by price ({session}):"]
    lines += [_offer_line(number, offer) for number, offer in enumerate(reply["offers"], 1)]
    if "nextCursor" in reply:
        lines.append(f"There are more: call search_offers again with cursor {reply['nextCursor']}")
    lines.append("Next: get_checkout_requirements for the offer the user chooses, then get_checkout_link.")
    return "\n".join(lines)


def _offer_line(number: int, offer: Reply) -> str:
    price = money(offer["price"], offer["currency"])
    if "introPrice" in offer:
        intro = money(offer["introPrice"], offer["currency"])
        price += f" ({intro} for the first {offer['introMonths']} months)"
    terms = ", ".join(f"{name} {_plain(value)}" for name, value in offer["criteria"].items())
    return f"{number}. {offer['provider']}: {offer['name']} – {price} – offer_id {offer['id']} – {terms}"


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def requirements_text(reply: Reply) -> str:
    """What a checkout needs, and what to do next."""
    constraints = reply["constraints"]
    return "\n".join(
        [
            f"Offer {reply['offerId']} ({reply['vertical']}): {money(constraints['price'], constraints['currency'])}",
            f"The merchant's page will ask the user for: {', '.join(reply['requiredFields'])}",
            f"Confirm with the user first: {' '.join(reply['confirmations'])}",
            f"Who may buy: {'; '.join(reply['eligibility'])}",
            f"Next: {reply['nextStep']}",
        ]
    )


def link_text(reply: Reply) -> str:
    """Where the user pays, and what that does not mean."""
    offer, merchant = reply["offer"], reply["merchant"]
    return "\n".join(
        [
            f"{offer['name']} by {offer['provider']}: {money(reply['amount'], reply['currency'])}, "
            f"to be paid to {merchant['name']}.",
            f"Checkout link: {reply['checkoutUrl']}",
            f"If it cannot be opened, the merchant's own page: {reply['fallbackUrl']}",
            f"Next: {reply['nextStep']}",
        ]
    )
