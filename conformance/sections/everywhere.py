"""Section 0: keys, errors and addresses."""

from pathlib import Path
from urllib.parse import quote

from conformance.client import Reply
from conformance.rules import NotTested, expect, must
from conformance.world import World, fresh, unknown_id

_ODD_IDS = ("x", "0", "null", " ", "'; --", "é" * 26, "A" * 65, "A" * 2000, "%", "🙂")


@must("0")
def no_redirecting_slash(world: World) -> None:
    """A path with a trailing slash is a 404 and never a redirect."""
    for path in ("/v1/offers/", "/v1/codes/public-key/", "/health/"):
        world.agent.get(path).refused(404)
    world.agent.post("/v1/recommend/", {}).refused(404)


def _failures(world: World) -> list[Reply]:
    """A failure of each kind that a client can bring about."""
    return [
        world.stranger.get("/v1/offers"),
        world.merchant.get("/v1/offers"),
        world.agent.get(f"/v1/{fresh('nowhere')}"),
        world.agent.get("/v1/sessions/x"),
        world.agent.send("PUT", "/v1/recommend", b"{}"),
        world.agent.send("POST", "/v1/recommend", b"{"),
        world.agent.send("POST", "/v1/recommend", b"[]"),
        world.agent.send("POST", "/v1/recommend", b"a=b", headers={"Content-Type": "text/plain"}),
        world.stranger.post("/v1/codes/verify", {}),
    ]


@must("0")
def errors_have_one_form(world: World) -> None:
    """Every error is exactly `{"error": "<text>"}`: 401, 403, 404, 405, 415, bad JSON and unknown routes alike."""
    statuses = [401, 403, 404, 404, 405, 400, 400, 415, 400]
    for reply, status in zip(_failures(world), statuses, strict=True):
        reply.refused(status)


@must("0")
def errors_carry_a_code(world: World) -> None:
    """A machine code goes in `X-Error-Code`."""
    for reply in _failures(world):
        expect(reply.headers.get("X-Error-Code"), f"{reply.asked}, {reply.status}: no X-Error-Code")


@must("0")
def every_reply_has_a_request_id(world: World) -> None:
    """Every reply carries `X-Request-Id`, each another one."""
    replies = [*_failures(world), world.agent.get("/v1/offers"), world.stranger.get("/health")]
    for reply in replies:
        expect(reply.headers.get("X-Request-Id"), f"{reply.asked}, {reply.status}: no X-Request-Id")
    expect(len({reply.headers["X-Request-Id"] for reply in replies}) == len(replies), "request ids repeat")


@must("0")
def a_key_is_needed(world: World) -> None:
    """Without a key, and with one that nobody has, the answer is 401."""
    nobody = world.as_party("aap_" + fresh("nobody"))
    for party in (world.stranger, nobody):
        party.get("/v1/offers").refused(401)
        party.post("/v1/recommend", {}).refused(401)
        party.post("/v1/checkout", {}).refused(401)
        party.post("/v1/conversions", {}).refused(401)
        party.get("/v1/sessions/x").refused(401)


@must("0")
def a_key_may_come_in_the_query(world: World) -> None:
    """`?api_key=aap_…` is as good as the header."""
    world.stranger.get("/v1/offers", api_key=world.agent.key).accepted()
    world.stranger.get("/v1/offers", api_key="aap_" + fresh("nobody")).refused(401)


@must("0")
def the_wrong_kind_of_key_is_forbidden(world: World) -> None:
    """An agent's key where a merchant's is needed, or the other way round, is 403."""
    world.merchant.get("/v1/offers").refused(403)
    world.merchant.post("/v1/recommend", {"sessionId": "x", "offerId": "x"}).refused(403)
    world.merchant.post("/v1/checkout", {"sessionId": "x", "recommendationId": "x"}).refused(403)
    body = {"sessionId": "x", "orderReference": "x", "transactionValue": 1}
    world.agent.post("/v1/conversions", body).refused(403)


@must("0")
def a_key_is_never_sent_back(world: World) -> None:
    """No reply, be it an error, shows the key that it was asked with."""
    key = world.agent.key
    replies = [world.stranger.get(path, api_key=key) for path in ("/v1/offers", "/v1/nowhere", "/v1/sessions/x")]
    replies += [world.agent.get("/v1/offers"), world.agent.get("/v1/sessions/x"), *_failures(world)]
    for reply in replies:
        shown = reply.text + "".join(f"{name}: {value}\n" for name, value in reply.headers.multi_items())
        expect(key not in shown, f"{reply.asked}, {reply.status}: the reply shows the key")


@must("0", "server_log")
def a_key_never_reaches_a_log(world: World) -> None:
    """A key in the query never reaches a log."""
    log = Path(world.subject.server_log)
    before = log.stat().st_size if log.exists() else 0
    for path in ("/v1/offers", "/v1/nowhere", "/v1/sessions/x"):
        world.stranger.get(path, api_key=world.agent.key)
    world.stranger.get("/v1/offers", api_key=world.agent.key, max_price="x")
    written = log.read_bytes()[before:] if log.exists() else b""
    if not written:
        raise NotTested("the server wrote nothing to its log meanwhile")
    expect(world.agent.key.encode() not in written, "the log has the key")


@must("0")
def ids_of_any_shape_are_not_found(world: World) -> None:
    """An id of any other shape is a 404, not a 400 or a 500."""
    for odd in _ODD_IDS:
        world.agent.get(f"/v1/sessions/{quote(odd, safe='')}").refused(404)
        world.agent.get(f"/v1/conversions/{quote(odd, safe='')}").refused(404)
        world.stranger.get(f"/r/{quote(odd, safe='')}").refused(404)


@must("0")
def unknown_ids_are_not_found(world: World) -> None:
    """An id of the right shape that is nobody's is a 404."""
    like = world.listed["sessionId"]
    world.agent.get(f"/v1/sessions/{unknown_id(like)}").refused(404)
    world.agent.get(f"/v1/conversions/{unknown_id(like)}").refused(404)
    world.stranger.get(f"/r/{unknown_id(like)}").refused(404)
