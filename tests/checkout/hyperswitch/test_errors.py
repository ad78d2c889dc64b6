"""Every refusal of Hyperswitch in the contract's words."""

import pytest

from checkout.connectors.base import (
    ConnectionRevoked,
    NotPayable,
    PspBusy,
    PspFault,
    PspRateLimited,
    PspRejected,
)
from checkout.connectors.hyperswitch import errors
from tests.checkout.hyperswitch.factories import pay


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"error": {"type": "invalid_request", "code": "IR_01"}}, ConnectionRevoked),
        (401, b"<html>", ConnectionRevoked),
        (403, {"error_type": "invalid_request", "code": "IR_22"}, ConnectionRevoked),
        (400, {"error": {"code": "IR_22"}}, ConnectionRevoked),
        (429, {"error": {"type": "lock_timeout", "code": "HE_00"}}, PspBusy),
        (429, {"error": {"error_type": "x", "message": "access to this object is restricted"}}, PspBusy),
        (429, {"message": "Too many"}, PspRateLimited),
        (429, b"", PspRateLimited),
        (501, {"error": {"type": "server_not_available", "code": "IR_00"}}, NotPayable),
        (400, {"error": {"error_type": "invalid_request", "code": "IR_19"}}, NotPayable),
        (400, {"error_type": "invalid_request", "code": "IR_20"}, NotPayable),
        (400, {"error": {"code": "IR_04"}}, PspRejected),
        (422, {"error": {"code": "IR_05"}}, PspRejected),
        (422, {"error": {"error_type": "invalid_request", "code": "IR_06"}}, PspRejected),
        (400, {"error": {"code": "CE_01"}}, PspFault),
        (400, {"error": {"code": ["IR_04"]}}, PspFault),
        (400, {"error": "no"}, PspFault),
        (400, [], PspFault),
        (404, b"not found", PspFault),
        (500, {"error": {"code": "HE_00"}}, PspFault),
        (502, b"<html>", PspFault),
        (302, {"ok": True}, PspFault),
        (200, b"", PspFault),
        (200, b"null", PspFault),
        (200, b"[" * 5000, PspFault),
        (200, b'{"amount": NaN}', PspFault),
        (200, b"\xff\xfe", PspFault),
        (200, [], PspFault),
        (200, {}, PspFault),
    ],
)
@pytest.mark.parametrize("kind", ["link", "charge"])
def test_every_answer_has_its_error(scripted, stranger, kind, status, body, expected):
    scripted.says(body, status, Location="http://127.0.0.1:9/elsewhere")

    with pytest.raises(expected) as caught:
        pay(stranger, kind, None)
    assert (type(caught.value).code, len(scripted.seen) <= 2) == (expected.code, True)


def test_codes_for_the_log_are_codes_only():
    assert errors.code_of(b'{"error": {"code": "IR_04"}}') == "IR_04"
    assert [errors.code_of(raw) for raw in (b'{"code": "snd_secret"}', b"[]", b"<", b'{"error": {"code": 1}}')] == [
        ""
    ] * 4
