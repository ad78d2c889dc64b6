"""Servers that break the protocol in one way each, and the rules that must find it out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conformance import codes
from tests.conformance.proxy import Answer, Asked, Mutation, Proxy

MONEY = {"price", "amount", "transactionValue", "networkFee", "builderPayout"}


@dataclass(frozen=True)
class Mutant:
    """A broken server; each of the rules must fail against it. An optional one breaks what not every server has."""

    name: str
    caught_by: tuple[str, ...]
    mutation: Mutation
    is_optional: bool = False


MUTANTS: list[Mutant] = []


def caught_by(*rules: str, is_optional: bool = False) -> Callable[[Mutation], Mutation]:
    def register(mutation: Mutation) -> Mutation:
        MUTANTS.append(Mutant(mutation.__name__, rules, mutation, is_optional))
        return mutation

    return register


def changed(value: Any, change: Callable[[str, Any], Any]) -> Any:
    """A JSON value with every named value changed."""
    if isinstance(value, list):
        return [changed(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: change(name, changed(inner, change)) for name, inner in value.items()}


def is_json(answer: Answer) -> bool:
    return any(name.lower() == "content-type" and text.startswith("application/json") for name, text in answer.headers)


@caught_by("checkout-finds-its-session", "recommend-finds-its-session-first")
def wrong_error_text(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return replace(answer, body=answer.body.replace(b"Session not found", b"No such session"))


@caught_by("errors-have-one-form")
def more_than_an_error(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return answer.saying(answer.json | {"status": answer.status}) if answer.status >= 400 else answer


@caught_by("no-redirecting-slash")
def redirecting_slash(asked: Asked, proxy: Proxy) -> Answer:
    if asked.path.endswith("/"):
        return Answer(308, [("Location", asked.path.rstrip("/"))], b"")
    return proxy.forward(asked)


@caught_by("ids-of-any-shape-are-not-found")
def odd_ids_are_bad_requests(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    is_odd = answer.status == 404 and len(asked.path.rpartition("/")[2]) != 26
    return answer.saying({"error": "Malformed id"}, status=400) if is_odd else answer


@caught_by("the-wrong-kind-of-key-is-forbidden")
def any_bad_key_is_401(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return replace(answer, status=401) if answer.status == 403 else answer


@caught_by("a-key-never-reaches-a-log")
def key_in_log(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    with Path(proxy.subject.server_log).open("a") as log:
        log.write(f"{asked.method} {asked.target} {answer.status}\n")
    return answer


@caught_by("a-key-is-never-sent-back")
def key_in_reply(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return replace(answer, headers=[*answer.headers, ("X-Asked", asked.target)])


@caught_by("every-reply-has-a-request-id")
def no_request_id_on_errors(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    kept = [pair for pair in answer.headers if pair[0].lower() != "x-request-id"]
    return replace(answer, headers=kept) if answer.status >= 400 else answer


@caught_by("null-is-taken-for-absent")
def null_is_refused(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return answer.saying({"error": "must not be null"}, status=400) if None in asked.json.values() else answer


@caught_by("money-is-a-number")
def floats_as_strings(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if not is_json(answer):
        return answer
    return answer.saying(changed(answer.json, lambda name, value: f"{value:.2f}" if _is_money(name, value) else value))


def _is_money(name: str, value: Any) -> bool:
    return name in MONEY and isinstance(value, int | float)


@caught_by("times-are-utc-with-milliseconds")
def times_without_milliseconds(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if not is_json(answer):
        return answer
    return answer.saying(
        changed(answer.json, lambda name, value: f"{value[:19]}Z" if name.endswith("At") and value else value)
    )


@caught_by("names-are-camel-case")
def snake_case_in_conversions(asked: Asked, proxy: Proxy) -> Answer:
    return _renamed(proxy.forward(asked))


def _renamed(answer: Answer) -> Answer:
    return replace(answer, body=answer.body.replace(b'"networkFee"', b'"network_fee"'))


@caught_by("offers-come-by-price", "commission-never-orders-offers")
def order_by_commission(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path != "/v1/offers" or answer.status != 200:
        return answer
    found = answer.json
    return answer.saying(found | {"offers": sorted(found["offers"], key=_worth, reverse=True)})


def _worth(offer: dict[str, Any]) -> float:
    terms = codes.read(offer["aapCode"]).payload["com"]
    if terms["type"] == "cpa":
        return float(terms["value"])
    return float(terms.get("min", 0)) + float(offer["price"]) * float(terms["value"]) / 100


@caught_by("every-search-opens-a-session")
def no_session_without_a_hit(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path != "/v1/offers" or answer.status != 200:
        return answer
    found = answer.json
    if not found["offers"]:
        return answer.saying(found | {"sessionId": proxy.memory.get("session", "")})
    proxy.memory["session"] = found["sessionId"]
    return answer


@caught_by("nobody-reads-anothers-session")
def foreign_session_readable(asked: Asked, proxy: Proxy) -> Answer:
    if asked.path.startswith("/v1/sessions/"):
        asked = asked.with_headers(authorization=f"Bearer {proxy.subject.agent_key}")
    return proxy.forward(asked)


@caught_by("nobody-reads-anothers-conversion")
def foreign_conversion_is_403(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path.startswith("/v1/conversions/") and answer.status == 404:
        return answer.saying({"error": "Not yours"}, status=403)
    return answer


@caught_by("recommend-refuses-an-expired-session", "checkout-refuses-an-expired-session")
def expired_session_accepted(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if answer.status == 410 and answer.json == {"error": "Session expired"}:
        return answer.saying({"recommendationId": "x", "transactionId": "x", "checkoutUrl": "x"}, status=200)
    return answer


@caught_by("expiry-comes-before-the-recommendation")
def recommendation_before_session(asked: Asked, proxy: Proxy) -> Answer:
    expired = proxy.subject.expired
    assert expired is not None
    is_unknown = asked.json.get("recommendationId") != expired.recommendation_id
    if asked.path == "/v1/checkout" and asked.json.get("sessionId") == expired.session_id and is_unknown:
        return proxy.forward(asked).saying({"error": "Recommendation not found"}, status=404)
    return proxy.forward(asked)


@caught_by("the-same-checkout-again-is-the-same")
def every_checkout_is_another(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path == "/v1/checkout" and answer.status == 200:
        proxy.memory["count"] = proxy.memory.get("count", 0) + 1
        return answer.saying(answer.json | {"transactionId": f"tx-{proxy.memory['count']}"})
    return answer


@caught_by("a-checkout-moves-its-session")
def checkout_counts_as_a_sale(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path.startswith("/v1/sessions/") and answer.status == 200:
        found = answer.json
        return answer.saying(found | {"conversions": found["conversions"] or [{"conversionId": "x"}]})
    return answer


@caught_by("a-session-converts-once", "another-report-of-an-order-is-a-conflict")
def double_conversion(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path == "/v1/conversions" and asked.method == "POST" and answer.status == 409:
        return answer.saying(asked.json | {"conversionId": "another", "status": "pending"}, status=200)
    return answer


@caught_by("the-same-report-again-is-the-same")
def a_repeated_report_is_a_conflict(asked: Asked, proxy: Proxy) -> Answer:
    orders, order = proxy.memory.setdefault("orders", set()), asked.json.get("orderReference")
    answer = proxy.forward(asked)
    if order and order in orders:
        return answer.saying({"error": "Reported before"}, status=409)
    orders.add(order)
    return answer


@caught_by("commission-is-that-of-the-code", "percentages-round-half-up-at-each-step", "a-cpa-is-fixed")
def fee_rounded_down(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path != "/v1/conversions" or "commission" not in (found := answer.json):
        return answer
    amount = round(found["commission"]["amount"] * 100)
    fee = amount * 19 // 100
    parts = {"networkFee": fee / 100, "builderPayout": (amount - fee) / 100}
    return answer.saying(found | {"commission": found["commission"] | parts})


@caught_by("verify-refuses-other-terms", "verify-refuses-another-signature", "verify-answers-200-to-nonsense")
def code_not_verified(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return answer.saying({"valid": True}) if asked.path == "/v1/codes/verify" and asked.json.get("code") else answer


@caught_by("codes-are-signed-by-a-published-key")
def another_key_published(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if asked.path != "/v1/codes/public-key":
        return answer
    # RFC 8032, 7.1, test 1.
    pem = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    pem = f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n"
    return answer.saying(answer.json | {"publicKey": pem, "keys": []})


@caught_by("a-link-leads-nowhere-else")
def open_redirect(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    if answer.status == 302 and "next" in asked.query:
        others = [pair for pair in answer.headers if pair[0].lower() != "location"]
        return replace(answer, headers=[*others, ("Location", asked.query["next"][0])])
    return answer


@caught_by("only-the-merchant-converts-a-link")
def agents_report_for_themselves(asked: Asked, proxy: Proxy) -> Answer:
    if asked.path.endswith("/convert"):
        asked = asked.with_headers(authorization=f"Bearer {proxy.subject.merchant_key}")
    return proxy.forward(asked)
