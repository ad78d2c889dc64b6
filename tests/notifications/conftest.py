"""A receiver, and parties with endpoints there."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.sequencer import Sequencer
from notifications.dispatching import follow_log
from notifications.endpoints import create_endpoint
from notifications.models import Endpoint, Message
from tests.notifications.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def endpoint_of(party: Any, url: str, **more: Any) -> Endpoint:
    """An endpoint of a merchant or a builder."""
    kind = {"Merchant": "merchant_id", "Builder": "builder_id"}[type(party).__name__]
    return create_endpoint({kind: party.pk}, url=url, **more)


def follow() -> int:
    """Take what was stated into the log, and turn it into messages."""
    Sequencer().tick()
    passed = 0
    while step := follow_log():
        passed += step
    return passed


def types_of(endpoint: Endpoint) -> list[str]:
    """The event types of an endpoint's messages, oldest first."""
    return list(Message.objects.filter(endpoint=endpoint).order_by("pk").values_list("event_type", flat=True))
