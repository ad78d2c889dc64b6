"""Whatever a stranger sends is a bad signature, and whatever is signed an event or malformed: Hypothesis tries."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkout.connectors.base import BadSignature, MalformedEvent
from checkout.connectors.stripe.events import TYPES as TOLD
from tests.checkout.stripe.test_webhooks import EVENT, receive, stranger

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["checkout.session", "payment_intent", "charge", "refund", "dispute", "application"])
AMOUNTS = ["amount", "amount_total", "amount_received", "amount_refunded"]
STATES = ["status", "payment_status", "mode", "last_payment_error", "metadata", "currency"]
NAMES = st.sampled_from([*AMOUNTS, *STATES, "id", "payment_intent", "charge", "latest_charge"])
LIKELY = st.sampled_from(["eur", "isk", "succeeded", "paid", "complete", "payment", "pi_1", 1, 10**40, -1, 0, {}])
TYPES = st.sampled_from([*sorted(TOLD), "account.application.deauthorized"])


@settings(deadline=None)
@given(st.binary(max_size=200), st.text(max_size=120))
def test_no_stranger_meets_another_error(body: bytes, header: str) -> None:
    with pytest.raises(BadSignature):
        stranger().verify_webhook(body, {"stripe-signature": header}, now=datetime.now(UTC))


@settings(deadline=None)
@given(JSON, st.dictionaries(NAMES, JSON | LIKELY, max_size=16), KINDS, TYPES)
def test_whatever_is_signed_is_an_event_or_malformed(anything: Any, found: Any, kind: str, event_type: str) -> None:
    connector = stranger()
    events = [anything, {**EVENT, "type": event_type, "data": {"object": {**found, "object": kind}}}]

    for event in events:
        try:
            outcomes = connector.normalize(receive(connector, json.dumps(event).encode()))
        except MalformedEvent:
            continue
        assert len(outcomes) <= 1
