"""An agent in a few lines, with the official client: search, recommend, hand the buyer over, wait for the sale.

pip install agent-attribution-protocol==0.1.0
AAP_API_URL=http://127.0.0.1:3456 AAP_API_KEY=aap_demo_key python examples/agent.py
"""

import os
import sys
import time
from typing import Any

import httpx
from agent_attribution_protocol import AAP

PATIENCE_SECONDS = 600


def main() -> None:
    url, key = os.environ.get("AAP_API_URL", "http://127.0.0.1:3456"), os.environ.get("AAP_API_KEY", "aap_demo_key")
    with AAP(api_key=key, base_url=url) as aap:
        # 1. Search. Offers come by price, never by commission; the session is this buyer's, for 24 hours.
        found = aap.search(vertical="sim", max_price=12, min_data_gb=20, contract_months=0)
        if not found.offers:
            sys.exit("Nothing fits: ask for less.")
        for offer in found.offers:
            print(f"{offer.price:>7.2f} {offer.currency}  {offer.name}")

        # 2. Recommend one: this is what the commission hangs on. An AAP Code proves the offer's terms to anybody.
        best = found.offers[0]
        if not aap.verify_code(best.aap_code)["valid"]:
            sys.exit("The offer's code is not genuine.")
        recommended = aap.recommend(found.session_id, best.id, context="The cheapest SIM with 20 GB and no contract")

        # 3. Hand over. The page is the merchant's own: neither agent nor Rako sees a card, and opening it is no sale.
        checkout = aap.checkout(found.session_id, recommended.recommendation_id)
        print(f"\n{best.name} costs {best.price:.2f} {best.currency}. Pay here: {checkout.checkout_url}", flush=True)

        # 4. Wait until the payment processor has told of the payment: nothing else makes a conversion.
        sale = wait_for_sale(aap, found.session_id)
        commission = sale["commission"]
        print(f"Sold for {sale['transactionValue']:.2f}: conversion {sale['conversionId']} is {sale['status']}.")
        print(f"Commission {commission['amount']:.2f}, of which {commission['builderPayout']:.2f} is yours.")


def wait_for_sale(aap: AAP, session_id: str) -> dict[str, Any]:
    """The session's conversion, asked for ever more seldom."""
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.5
    while time.monotonic() < deadline:
        if conversions := aap.get_session(session_id).conversions:
            return dict(conversions[0])
        time.sleep(pause)
        pause = min(pause * 1.5, 15)
    sys.exit("Nobody paid.")


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPStatusError as refused:  # every refusal is {"error": "<text>"}
        sys.exit(f"Refused with {refused.response.status_code}: {refused.response.json()['error']}")
