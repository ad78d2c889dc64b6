import base64
import hashlib
import shutil
import string
import subprocess

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from rako.core.aap_code import KEY_ORDER, LIFE_SECONDS, PREFIX, CodeTerms, InvalidCode, check, decode, issue
from rako.core.money import MAX_MINOR, to_wire

KEY = Ed25519PrivateKey.from_private_bytes(b"a-seed-that-only-these-tests-use")
PUBLIC = KEY.public_key()
IAT = 1_800_000_000
TERMS = CodeTerms("01J0000000000000000000OFFR", "01J0000000000000000000MRCH", "SMARTY", "SMARTY 1GB", 6, "GBP", {})
CODE = issue(TERMS, KEY, issued_at=IAT)
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(payload: bytes, prefix: str = PREFIX) -> str:
    """Any payload as a code, with a good signature."""
    return f"{prefix}{encoded(payload)}.{encoded(KEY.sign(payload))}"


def payload_with(**changes) -> bytes:
    return orjson.dumps(decode(CODE).payload | changes)


def verifies(text: str) -> bool:
    try:
        check(decode(text), PUBLIC, at=IAT)
    except InvalidCode:
        return False
    return True


def test_a_code_says_what_was_signed():
    code = decode(CODE)

    check(code, PUBLIC, at=IAT)
    assert code.payload == dict(
        zip(KEY_ORDER, [1, "rako.sh", *("01J0000000000000000000OFFR", "01J0000000000000000000MRCH"), "SMARTY",
                        "SMARTY 1GB", 6, "GBP", {}, IAT, IAT + 30 * 24 * 3600], strict=True)
    )  # fmt: skip


def test_the_payload_is_compact_json_in_the_protocols_order():
    terms = CodeTerms("o", "m", "é", 'a "b"', 6.5, "GBP", {"type": "hybrid", "value": 3, "min": 15})

    payload = decode(issue(terms, KEY, issued_at=5)).signed_bytes.decode()

    assert payload == (
        '{"v":1,"iss":"rako.sh","off":"o","mer":"m","pro":"é","prd":"a \\"b\\"","prc":6.5,"cur":"GBP",'
        '"com":{"type":"hybrid","value":3,"min":15},"iat":5,"exp":2592005}'
    )


@pytest.mark.parametrize(("minor", "shown"), [(600, b'"prc":6,'), (650, b'"prc":6.5,'), (1099, b'"prc":10.99,')])
def test_whole_prices_print_as_6(minor, shown):
    terms = CodeTerms("o", "m", "p", "n", to_wire(minor, "GBP"), "GBP", {})

    assert shown in decode(issue(terms, KEY, issued_at=IAT)).signed_bytes


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(names, names, st.integers(1, MAX_MINOR), st.integers(0, 2**40))
def test_every_code_reads_back(provider, product, minor, issued_at):
    terms = CodeTerms("o", "m", provider, product, to_wire(minor, "GBP"), "GBP", {})

    code = decode(issue(terms, KEY, issued_at=issued_at))

    check(code, PUBLIC, at=issued_at)
    assert (code.payload["pro"], code.payload["prd"], code.payload["prc"]) == (provider, product, terms.price)


@pytest.mark.parametrize("position", range(len(CODE)))
def test_any_changed_character_breaks_a_code(position):
    replacements = [other for other in BASE64URL + ".:/=+" if other != CODE[position]]

    survivors = [other for other in replacements if verifies(CODE[:position] + other + CODE[position + 1 :])]

    assert survivors == []


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(CODE) - 1), st.characters())
def test_any_inserted_character_breaks_a_code(position, extra):
    assert not verifies(CODE[:position] + extra + CODE[position:])


@pytest.mark.parametrize(
    "text", ["", PREFIX, CODE[:-1], CODE + "\n", " " + CODE, CODE + "=", CODE.upper(), CODE + CODE]
)
def test_what_has_another_form_is_no_code(text):
    with pytest.raises(InvalidCode):
        decode(text)


def test_texts_beyond_the_longest_code_are_refused_unread():
    code = signed(payload_with(prd="x" * 800))

    with pytest.raises(InvalidCode, match="not an AAP Code"):
        decode(code)


def test_another_spelling_of_the_same_bytes_is_refused():
    payload = payload_with(prd="x" * next(n for n in range(3) if len(payload_with(prd="x" * n)) % 3 == 1))
    code = signed(payload)
    head, tail = code.rsplit(".", 1)
    neighbour = head[:-1] + BASE64URL[BASE64URL.index(head[-1]) + 1]

    assert base64.urlsafe_b64decode(neighbour.removeprefix(PREFIX) + "==") == payload
    with pytest.raises(InvalidCode, match="canonical"):
        decode(f"{neighbour}.{tail}")


@pytest.mark.parametrize(
    "prefix", ["aap://rako.example/v1/", "aap://rako.sh/v2/", "AAP://rako.sh/v1/", "http://rako.sh/v1/", "rako.sh/v1/"]
)
def test_codes_of_other_issuers_and_versions_are_refused(prefix):
    with pytest.raises(InvalidCode):
        decode(signed(payload_with(), prefix))


@pytest.mark.parametrize("changes", [{"v": 2}, {"v": "1"}, {"iss": "rako.example"}, {"more": 1}])
def test_payloads_of_other_issuers_and_versions_are_refused(changes):
    with pytest.raises(InvalidCode, match="version 1"):
        decode(signed(payload_with(**changes)))


@pytest.mark.parametrize("changes", [{"iat": 1.5}, {"iat": "1"}, {"exp": None}, {"exp": True}])
def test_payloads_without_a_validity_are_refused(changes):
    with pytest.raises(InvalidCode, match="no validity"):
        decode(signed(payload_with(**changes)))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"1", b'"text"', b"null", b"{}", b"\xff\xfe", b'{"v":NaN}'])
def test_payloads_that_are_no_object_of_ours_are_refused(payload):
    with pytest.raises(InvalidCode):
        decode(signed(payload))


def test_keys_in_another_order_are_refused():
    payload = orjson.dumps(dict(reversed(decode(CODE).payload.items())))

    with pytest.raises(InvalidCode, match="version 1"):
        decode(signed(payload))


@pytest.mark.parametrize("second", [0, 1, LIFE_SECONDS - 1])
def test_a_code_lives_for_thirty_days(second):
    assert check(decode(CODE), PUBLIC, at=IAT + second) is None


@pytest.mark.parametrize("second", [-1, 30 * 24 * 3600, 30 * 24 * 3600 + 1])
def test_a_code_is_dead_before_and_after(second):
    with pytest.raises(InvalidCode, match="not valid at that time"):
        check(decode(CODE), PUBLIC, at=IAT + second)


def test_another_key_does_not_verify_a_code():
    stranger = Ed25519PrivateKey.generate().public_key()

    with pytest.raises(InvalidCode, match="signature"):
        check(decode(CODE), stranger, at=IAT)


def test_a_codes_digest_is_that_of_its_text():
    assert decode(CODE).sha256 == hashlib.sha256(CODE.encode()).hexdigest()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="NOT VERIFIED INDEPENDENTLY: there is no openssl program")
@pytest.mark.parametrize(("spoil", "accepted"), [(b"", True), (b" ", False)])
def test_openssl_verifies_the_signature_over_the_raw_payload(tmp_path, spoil, accepted):
    payload, signature = (part + "=" * (-len(part) % 4) for part in CODE.removeprefix(PREFIX).rsplit(".", 1))
    pem = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "payload").write_bytes(base64.urlsafe_b64decode(payload) + spoil)
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature))

    openssl = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        "key.pem",
        "-in",
        "payload",
        "-sigfile",
        "signature",
    ]
    run = subprocess.run(openssl, cwd=tmp_path, capture_output=True, check=False)

    assert (run.returncode == 0) is accepted
