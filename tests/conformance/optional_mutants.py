"""Servers that break what an AAP server may leave out: idempotency keys, rate limits, MCP."""

from dataclasses import replace

from tests.conformance.mutants import caught_by
from tests.conformance.proxy import Answer, Asked, Proxy


@caught_by("the-same-key-gets-the-same-reply", is_optional=True)
def idempotency_key_ignored(asked: Asked, proxy: Proxy) -> Answer:
    if asked.path != "/v1/recommend":
        return proxy.forward(asked)
    kept = {name: text for name, text in asked.headers.items() if name != "idempotency-key"}
    return proxy.forward(replace(asked, headers=kept))


@caught_by("another-body-under-a-key-is-refused", is_optional=True)
def any_body_is_replayed(asked: Asked, proxy: Proxy) -> Answer:
    key = asked.headers.get("idempotency-key")
    if key is None:
        return proxy.forward(asked)
    answer = proxy.memory.get(key) or proxy.forward(asked)
    proxy.memory[key] = replace(answer, headers=[*answer.headers, ("Idempotent-Replayed", "true")])
    return answer


@caught_by("a-key-belongs-to-one-party", is_optional=True)
def keys_are_shared_by_all(asked: Asked, proxy: Proxy) -> Answer:
    return any_body_is_replayed(asked, proxy)


@caught_by("limits-are-told", is_optional=True)
def nothing_is_ever_used_up(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    limit = dict(answer.headers).get("x-ratelimit-limit", "0")
    others = [pair for pair in answer.headers if pair[0].lower() != "x-ratelimit-remaining"]
    return replace(answer, headers=[*others, ("X-RateLimit-Remaining", limit)])


@caught_by("mcp-has-three-tools", is_optional=True)
def a_tool_has_another_name(asked: Asked, proxy: Proxy) -> Answer:
    answer = proxy.forward(asked)
    return replace(answer, body=answer.body.replace(b"get_checkout_link", b"buy"))


@caught_by("mcp-needs-a-key", is_optional=True)
def mcp_is_open_to_anybody(asked: Asked, proxy: Proxy) -> Answer:
    if asked.path == "/mcp":
        asked = asked.with_headers(authorization=f"Bearer {proxy.subject.agent_key}")
    return proxy.forward(asked)
