"""Our own strict fake of Hyperswitch: a threaded HTTP server on 127.0.0.1 with real state, and a buyer's hands on it.

It is ours, made after Hyperswitch's public documentation and public source: no counterparty of anyone else's can be
run in a test. That it agrees with our connector proves that the two agree, not that Hyperswitch does. The texts of
its errors are ours as well; clients go by status and code.

    with HyperswitchCounterparty() as psp:
        shop = psp.add_merchant(webhook_url="http://127.0.0.1:3456/v1/webhooks/hyperswitch/…")
        requests.post(f"{psp.base_url}/payments", headers={"api-key": shop.api_key}, json={…})
        psp.pay(payment_id)
        psp.deliver(order="newest_first")

Where documentation and source differ, the source is followed: semantic refusals (IR_05, IR_06) are 422; a body that
cannot be read is 400 with `error_type` in place of `type`; a dispute that is not there is HE_04 rather than HE_02.

Not established, and chosen here (further modules name their own):
- `expired`: the status and `payment_expired` are documented, yet maintainers found no code that sets them when a
  session runs out. `announces_expiry=False` gives that behaviour: the link is dead, the status stays, no event comes;
- whether a key of the other mode, a revoked key and no key are told apart: here all are 401 IR_01;
- whether lists carry metadata and `amount_received` exactly as the single object does: here they do.
"""

from tests.counterparties.hyperswitch.buyer import ControlError
from tests.counterparties.hyperswitch.counterparty import HyperswitchCounterparty
from tests.counterparties.hyperswitch.events import Delivery, signature
from tests.counterparties.hyperswitch.world import Merchant

__all__ = ["ControlError", "Delivery", "HyperswitchCounterparty", "Merchant", "signature"]
