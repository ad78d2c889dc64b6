"""Servers that take payment events on trust; what they are told, they sign anew and hand on."""

import json
import time
from dataclasses import replace

from conformance import psp
from tests.conformance.mutants import caught_by
from tests.conformance.proxy import Answer, Asked, Proxy


def signed_anew(asked: Asked, proxy: Proxy, body: bytes | None = None) -> Asked:
    """The delivery as if the processor had sent it now, with another body if told."""
    webhook = proxy.subject.webhook
    assert webhook is not None
    body = asked.body if body is None else body
    header = {webhook.header.lower(): psp.signature(body, webhook.secret)}
    return replace(asked, headers=asked.headers | header, body=body)


def is_delivery(asked: Asked) -> bool:
    return asked.path.startswith("/v1/webhooks/")


@caught_by("an-unsigned-event-is-refused")
def unsigned_webhook_accepted(asked: Asked, proxy: Proxy) -> Answer:
    is_unsigned = is_delivery(asked) and "sandbox-signature" not in asked.headers
    return proxy.forward(signed_anew(asked, proxy) if is_unsigned else asked)


@caught_by("a-wrong-signature-is-refused", "an-altered-body-is-refused")
def any_signature_accepted(asked: Asked, proxy: Proxy) -> Answer:
    return proxy.forward(signed_anew(asked, proxy) if is_delivery(asked) else asked)


@caught_by("an-old-signature-is-refused")
def replay_accepted(asked: Asked, proxy: Proxy) -> Answer:
    header = asked.headers.get("sandbox-signature", "")
    webhook = proxy.subject.webhook
    assert webhook is not None
    at = header.partition(",")[0].removeprefix("t=")
    age = int(time.time()) - int(at) if at.isdigit() else 0
    is_authentic = is_delivery(asked) and header == psp.signature(asked.body, webhook.secret, age=age)
    return proxy.forward(signed_anew(asked, proxy) if is_authentic else asked)


@caught_by("a-replayed-event-counts-once", "a-payment-told-of-twice-counts-once", "a-sold-session-is-sold")
def every_delivery_is_recorded(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if is_delivery(asked) and answer.status == 200 and answer.json["status"] in {"duplicate", "rejected"}:
        return answer.saying(answer.json | {"status": "conversion_recorded", "conversionId": "another"})
    return answer


def corrected(asked: Asked, proxy: Proxy, name: str, known: str) -> Answer:
    """Hand a delivery on with the value that the checkout has, as a server does that does not look at it."""
    answer = None
    if is_delivery(asked) and (event := asked.json):
        right = proxy.memory.get(event["data"]["object"]["id"], {}).get(known)
        event["data"]["object"][name] = right
        answer = proxy.forward(signed_anew(asked, proxy, json.dumps(event).encode()))
    answer = answer or proxy.forward(asked)
    if asked.path == "/v1/checkout" and answer.status == 200:
        found = answer.json
        proxy.memory[found["paymentId"]] = found | {"minor": round(found["amount"] * 100)}
    return answer


@caught_by("the-amount-is-checked")
def amount_unchecked(asked: Asked, proxy: Proxy) -> Answer:
    return corrected(asked, proxy, "amount_total", "minor")


@caught_by("the-currency-is-checked")
def currency_unchecked(asked: Asked, proxy: Proxy) -> Answer:
    return corrected(asked, proxy, "currency", "currency")
