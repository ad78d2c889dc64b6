"""Section 2: AAP Codes, checked with an Ed25519 of the suite's own."""

import json
from decimal import Decimal
from typing import Any

from conformance import codes
from conformance.rules import expect, must, should
from conformance.world import World, unknown_id

_PATH = "/v1/codes/verify"
_INVALID = {"valid": False, "error": "Invalid or expired AAP Code."}
_THIRTY_DAYS = 30 * 24 * 3600


def _code(world: World) -> codes.Code:
    return codes.read(world.offer["aapCode"])


def _refused(world: World, text: str, what: str) -> None:
    found = world.stranger.post(_PATH, {"code": text}).accepted()
    expect(found == _INVALID, f"{what} is answered {json.dumps(found, default=float)[:120]}")


@must("2")
def codes_are_signed_by_a_published_key(world: World) -> None:
    """The Ed25519 signature over the raw JSON bytes holds under a key of `GET /v1/codes/public-key`."""
    for offer in world.listed["offers"][:5]:
        code = codes.read(offer["aapCode"])
        expect(any(code.is_signed_by(key) for key in world.published_keys), f"that of offer {offer['id']} does not")


@must("2")
def codes_have_their_keys_in_order(world: World) -> None:
    """The payload is compact JSON with the keys v, iss, off, mer, pro, prd, prc, cur, com, iat, exp in this order."""
    for offer in world.listed["offers"][:20]:
        code = codes.read(offer["aapCode"])
        expect(list(code.payload) == codes.KEY_ORDER, f"the keys are {list(code.payload)}")
        for sign in (b'": ', b', "', b"\n"):
            expect(sign not in code.signed, "the JSON is not compact")


@must("2")
def codes_print_whole_prices_whole(world: World) -> None:
    """A whole price prints as `6`, not as `6.0` or `"6"`, and is the offer's."""
    for offer in world.listed["offers"]:
        code = codes.read(offer["aapCode"])
        price = code.payload["prc"]
        expect(price == offer["price"], f"offer {offer['id']} costs {offer['price']}, its code says {price}")
        is_whole = price == int(price)
        expect(isinstance(price, int) if is_whole else isinstance(price, Decimal), f"the price prints as {price}")


@must("2")
def codes_tell_of_their_offer(world: World) -> None:
    """A code names offer, merchant, provider, currency and commission terms."""
    payload = _code(world).payload
    for key, name in (("off", "id"), ("mer", "merchantId"), ("pro", "provider"), ("cur", "currency")):
        expect(payload[key] == world.offer[name], f"{key} is {payload[key]}")
    terms = payload["com"]
    expect(terms["type"] in {"cpa", "percentage", "hybrid"}, f"the commission is of type {terms['type']}")
    names = {"type", "value", "min"} if terms["type"] == "hybrid" else {"type", "value"}
    expect(set(terms) == names, f"the commission has {sorted(terms)}")


@must("2")
def codes_live_thirty_days(world: World) -> None:
    """A code lives 30 days: `exp` is `iat` and 30 days, in unix seconds."""
    payload = _code(world).payload
    expect(payload["exp"] - payload["iat"] == _THIRTY_DAYS, f"it lives {payload['exp'] - payload['iat']} s")


@must("2")
def codes_fit_into_metadata(world: World) -> None:
    """A code has at most 500 characters."""
    longest = max(len(offer["aapCode"]) for offer in world.listed["offers"])
    expect(longest <= 500, f"one has {longest}")


@must("2", "other_agent_key")
def codes_are_the_same_for_every_agent(world: World) -> None:
    """The code is the same for every agent: it proves terms, never who earned."""
    params = {"provider": world.offer["provider"], "limit": 100}
    found = world.other_agent.get("/v1/offers", **params).accepted()["offers"]
    shown = next((offer for offer in found if offer["id"] == world.offer["id"]), None)
    expect(shown, "another agent does not find the offer")
    theirs, ours = codes.read((shown or {})["aapCode"]).payload, _code(world).payload
    times = {"iat": 0, "exp": 0}
    expect(theirs | times == ours | times, "it differs in more than its time")


@must("1")
def verify_tells_of_a_good_code(world: World) -> None:
    """`POST /v1/codes/verify` needs no key, ignores one, and tells issuer, offer, commission and validity."""
    for party in (world.stranger, world.agent, world.merchant, world.as_party("aap_nobody")):
        found = party.post(_PATH, {"code": world.offer["aapCode"]}).accepted()
        expect(found.get("valid") is True, f"it is answered {found}")
    missing = {"issuer", "offer", "commission", "issuedAt", "expiresAt"} - set(found)
    expect(not missing, f"it lacks {sorted(missing)}")
    expect(found["offer"]["id"] == world.offer["id"], "it tells of another offer")
    expect(found["offer"]["price"] == world.offer["price"], f"it tells of the price {found['offer']['price']}")


@must("1")
def verify_refuses_other_terms(world: World) -> None:
    """A code whose payload was changed is invalid: commission, price, offer and expiry are what was signed."""
    code = _code(world)
    changes: list[dict[str, Any]] = [
        {"com": {"type": "cpa", "value": 999}},
        {"prc": 1},
        {"off": unknown_id(world.offer["id"])},
        {"exp": code.payload["exp"] + 1},
    ]
    for change in changes:
        signed = json.dumps(code.payload | change, separators=(",", ":"), default=float).encode()
        _refused(world, codes.Code(code.prefix, signed, code.signature).text, f"another {', '.join(change)}")


@must("1")
def verify_refuses_another_signature(world: World) -> None:
    """A code with a signature that was changed, shortened, or that belongs to another code is invalid."""
    code = _code(world)
    flipped = bytes([code.signature[0] ^ 1]) + code.signature[1:]
    other = next((offer for offer in world.listed["offers"] if offer["id"] != world.offer["id"]), None)
    signatures = [flipped, code.signature[:-1], bytes(64), *([codes.read(other["aapCode"]).signature] if other else [])]
    for signature in signatures:
        _refused(world, codes.Code(code.prefix, code.signed, signature).text, "another signature")


@must("1")
def verify_answers_200_to_nonsense(world: World) -> None:
    """Whatever text is sent, the answer is 200 `{valid:false, error:"Invalid or expired AAP Code."}`."""
    text = world.offer["aapCode"]
    for nonsense in ("x", " ", "aap://", f"{text}=", text[:-1], text.replace("/v1/", "/v2/"), "é", "x" * 10_000):
        _refused(world, nonsense, repr(nonsense[:20]))


@must("1")
def verify_needs_a_code(world: World) -> None:
    """A missing or empty `code` is 400."""
    for body in ({}, {"code": ""}, {"code": None}):
        world.stranger.post(_PATH, body).refused(400)


@must("1")
def codes_are_issued(world: World) -> None:
    """`POST /v1/codes/issue` answers `{aapCode, payload, expiresAt}` that agree; an unknown offer is 404."""
    found = world.agent.post("/v1/codes/issue", {"offerId": world.offer["id"]}).accepted()
    code = codes.read(found["aapCode"])
    expect(found["payload"] == code.payload, "payload and code differ")
    expect(any(code.is_signed_by(key) for key in world.published_keys), "the signature does not hold")
    world.agent.post("/v1/codes/issue", {"offerId": unknown_id(world.offer["id"])}).refused(404)
    world.stranger.post("/v1/codes/issue", {"offerId": world.offer["id"]}).refused(401)


@must("1")
def the_public_key_has_its_form(world: World) -> None:
    """`GET /v1/codes/public-key` answers `{algorithm:"Ed25519", publicKey:<PEM>, format:"SPKI/PEM"}`."""
    found = world.stranger.get("/v1/codes/public-key").accepted()
    expect((found["algorithm"], found["format"]) == ("Ed25519", "SPKI/PEM"), f"it says {found['algorithm']}")
    expect(found["publicKey"].startswith("-----BEGIN PUBLIC KEY-----"), "the key is not PEM")


@should("1", "jwks")
def the_key_set_is_published(world: World) -> None:
    """`/.well-known/jwks.json` has the same keys as OKP keys of the curve Ed25519."""
    found = world.stranger.get("/.well-known/jwks.json").accepted()["keys"]
    expect(found and {(key["kty"], key["crv"]) for key in found} == {("OKP", "Ed25519")}, "other kinds of key")
