"""What an agent hands on to a merchant that speaks another protocol of agentic commerce (docs/bridges.md).

`acp` is merged into the body that creates or completes an ACP checkout session (Agentic Commerce Protocol 2026-04-17,
`affiliate_attribution`), `ucp` into that of a UCP checkout (Universal Commerce Protocol, `attribution`).
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from rako.core.aap_code import ISSUER
from rako.core.wire import WireSerializer, instant
from sessions_app import attribution_token
from sessions_app.clicks import LINK_MARKS
from sessions_app.models import Recommendation

BRIDGES = ("acp", "ucp")


class IncludeField(serializers.ListField):
    """A JSON list of the bridges that the reply is to carry."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.ChoiceField(choices=BRIDGES), max_length=len(BRIDGES), **options)

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or len(data) > len(BRIDGES) or not all(name in BRIDGES for name in data):
            raise serializers.ValidationError(f"must be a list of {' and '.join(BRIDGES)}")
        return data


class BridgesReply(WireSerializer):
    """What was asked for with `include`, each to be merged into a body of that protocol."""

    acp = serializers.DictField(required=False, help_text="ACP: `affiliate_attribution`, with a token.")
    ucp = serializers.DictField(required=False, help_text="UCP: `attribution`, a map of texts, with the token.")


def bridges_wire(include: Collection[str], recommendation: Recommendation, *, merchant_id: str) -> dict[str, Any]:
    """The reply's `bridges`; nothing at all where none is asked for."""
    if not include:
        return {}
    text, token = attribution_token.issue(recommendation, merchant_id=merchant_id)
    made = {"acp": _acp(text, token), "ucp": _ucp(text, recommendation)}
    return {"bridges": {name: made[name] for name in BRIDGES if name in include}}


def _acp(text: str, token: attribution_token.AttributionToken) -> dict[str, Any]:
    """`publisher_id` and `source` are left out: a merchant need not know who recommended, nor where."""
    issued_at, expires_at = (datetime.fromtimestamp(seconds, UTC) for seconds in (token.issued_at, token.expires_at))
    claim = {"provider": ISSUER, "token": text, "issued_at": instant(issued_at), "expires_at": instant(expires_at)}
    return {"affiliate_attribution": claim}


def _ucp(text: str, recommendation: Recommendation) -> dict[str, Any]:
    """The parameters that a tracked link carries in its address, and the token."""
    return {"attribution": LINK_MARKS | {"aap_ref": recommendation.pk, "aap_token": text}}
