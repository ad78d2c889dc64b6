import io
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.exceptions import ParseError

from rako.core.errors import BadRequest
from rako.core.wire import (
    InstantField,
    JsonParser,
    JsonRenderer,
    NumberField,
    ObjectField,
    TextField,
    WireSerializer,
    camel,
    instant,
)


class Asked(WireSerializer):
    required_together = ("session_id", "offer_id")
    session_id = TextField(max_length=5)
    offer_id = TextField()
    note = TextField(required=False, allow_blank=True)
    amount = NumberField(required=False)
    details = ObjectField(required=False, max_bytes=20)
    at = InstantField(required=False)


class One(WireSerializer):
    required_together = ("code",)
    code = TextField()


GOOD = {"sessionId": "s", "offerId": "o"}


def parsed(raw: bytes):
    return JsonParser().parse(io.BytesIO(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nul", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":"\xff"}',
        b'{"a":"\x00"}', b"{'a':1}", b'{"a":1,}', b'{"a":01}', b"\xef\xbb\xbf{}x", b"[" * 3000, b'{"a":' * 3000,
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_refused(raw):
    with pytest.raises(ParseError, match="not valid JSON"):
        parsed(raw)


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_a_body_is_an_object(raw):
    with pytest.raises(ParseError, match="must be a JSON object"):
        parsed(raw)


@pytest.mark.parametrize("raw", [rb'{"a":"\u0000"}', rb'{"\u0000":1}', rb'{"a":["\\\u0000"]}', rb'{"a":"x\\\\\u0000"}'])
def test_nul_is_refused_wherever_it_hides(raw):
    with pytest.raises(ParseError, match="NUL"):
        parsed(raw)


@pytest.mark.parametrize("raw", [rb'{"a":"\\u0000"}', rb'{"a":"\\\\u0000"}', rb'{"a":"u0000"}'])
def test_u0000_behind_an_escaped_backslash_is_plain_text(raw):
    assert parsed(raw)["a"].lstrip("\\") == "u0000"


@settings(deadline=None)
@given(st.text(st.sampled_from("\\u0\x00 é")))
def test_texts_with_nul_are_refused_and_no_others(text):
    raw = orjson.dumps({"a": text})

    if "\x00" in text:
        with pytest.raises(ParseError):
            parsed(raw)
    else:
        assert parsed(raw) == {"a": text}


@pytest.mark.parametrize(("data", "raw"), [({"a": [1, "é"]}, '{"a":[1,"é"]}'.encode()), (None, b"")])
def test_replies_are_compact(data, raw):
    assert JsonRenderer().render(data) == raw


@pytest.mark.parametrize(
    ("snake", "shown"), [("id", "id"), ("session_id", "sessionId"), ("eu_roaming_ok", "euRoamingOk"), ("5g", "5g")]
)
def test_names_are_camel_case_outside(snake, shown):
    assert camel(snake) == shown


@pytest.mark.parametrize("body", [GOOD, {"session_id": "s", "offer_id": "o"}, GOOD | {"note": None, "unknown": 1}])
def test_both_spellings_and_explicit_nulls_are_taken(body):
    assert Asked.check(body) == {"session_id": "s", "offer_id": "o"}


@pytest.mark.parametrize(
    "body", [{}, {"sessionId": "s"}, GOOD | {"offerId": ""}, GOOD | {"offerId": None}, {"offer_id": "o"}]
)
def test_missing_fields_give_the_protocols_one_sentence(body):
    with pytest.raises(BadRequest, match=r"^sessionId and offerId are required$") as raised:
        Asked.check(body)
    assert raised.value.code == "missing_fields"


def test_a_single_missing_field_is_named():
    with pytest.raises(BadRequest, match=r"^code is required$"):
        One.check({})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"offerId": 5}, "offerId must be a string"),
        ({"offerId": True}, "offerId must be a string"),
        ({"offerId": ["o"]}, "offerId must be a string"),
        ({"sessionId": "sixsix"}, "sessionId must have at most 5 characters"),
        ({"amount": "5"}, "amount must be a number"),
        ({"amount": True}, "amount must be a number"),
        ({"details": "{}"}, "details must be an object"),
        ({"details": {"a": "x" * 30}}, "details must have at most 20 bytes"),
        ({"at": "2026-01-01T00:00:00"}, "at must be an ISO 8601 time with an offset"),
        ({"at": "yesterday"}, "at must be an ISO 8601 time with an offset"),
        ({"at": "2026-13-01T00:00:00Z"}, "at must be an ISO 8601 time with an offset"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "at must be an ISO 8601 time with an offset"),
        ({"at": 1795000000}, "at must be an ISO 8601 time with an offset"),
    ],
)
def test_a_wrong_field_is_named(change, sentence):
    with pytest.raises(BadRequest, match=f"^{sentence}$") as raised:
        Asked.check(GOOD | change)
    assert raised.value.code == "invalid_field"


def test_values_are_kept_as_they_came():
    more = {"note": "  spaced ", "amount": 6.0, "details": {"snake_case": [1]}}

    found = Asked.check(GOOD | more)

    assert {name: found[name] for name in more} == more


@pytest.mark.parametrize("text", ["2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", "2025-12-31 19:00:00-05:00"])
def test_times_are_read_in_any_offset(text):
    assert Asked.check(GOOD | {"at": text})["at"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_times_are_shown_in_utc_with_milliseconds():
    moment = datetime(2026, 1, 1, 12, 30, 0, 123999, tzinfo=timezone(timedelta(hours=2)))

    assert instant(moment) == "2026-01-01T10:30:00.123Z"


def test_a_reply_shows_camel_case():
    class Shown(WireSerializer):
        expires_at = InstantField()
        is_live = serializers.BooleanField()

    shown = Shown({"expires_at": datetime(2026, 1, 1, tzinfo=UTC), "is_live": True}).data

    assert shown == {"expiresAt": "2026-01-01T00:00:00.000Z", "isLive": True}
