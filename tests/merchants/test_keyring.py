import base64
import stat
import sys
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from merchants import keyring
from merchants.codes import verify
from merchants.models import SigningKey
from rako.core.aap_code import CodeTerms, decode, issue
from tests.threads import race

SEEDS = [base64.b64encode(letter * 32).decode() for letter in (b"a", b"b")]
TERMS = CodeTerms("o", "m", "p", "n", 6, "GBP", {})


@pytest.fixture
def key_files(settings, tmp_path, db):
    """No keys in the environment: they are files."""
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = [], tmp_path
    return tmp_path / "keys"


def code_at(moment):
    return issue(TERMS, keyring.private_key_for(moment), issued_at=int(moment.timestamp()))


def id_of(seed):
    return keyring.key_id_of(Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)).public_key())


def test_the_first_key_is_made_on_first_use_and_signs_at_once(key_files):
    code = code_at(timezone.now())

    assert verify(code, at=timezone.now()) == decode(code)
    assert SigningKey.objects.get().valid_to is None


def test_a_private_key_is_closed_to_everybody_else(key_files):
    keyring.published()

    [path] = key_files.iterdir()
    assert path.name == f"aap_code_{SigningKey.objects.get().pk}.pem"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(key_files.stat().st_mode)) == (0o600, 0o700)


def test_the_database_holds_public_parts_only(key_files):
    keyring.published()
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(row::text, '') FROM merchants_signingkey AS row")
        stored = cursor.fetchone()[0]

    assert "PUBLIC KEY" in stored
    assert "PRIVATE" not in stored


def test_the_same_key_is_found_again_by_the_next_process(key_files):
    code = code_at(timezone.now())
    keyring.forget()

    assert verify(code_at(timezone.now()), at=timezone.now()).signature
    assert (verify(code, at=timezone.now()).text, SigningKey.objects.count()) == (code, 1)


def test_an_old_code_still_verifies_after_a_rotation(key_files):
    code = code_at(timezone.now())

    keyring.rotate()

    assert verify(code, at=timezone.now() + timedelta(days=29)).text == code


def test_a_new_key_signs_only_after_the_lead(key_files):
    [old] = keyring.published()
    new = keyring.rotate()

    chosen = [keyring.public_key_for(new.valid_from + timedelta(seconds=s)).key_id for s in (-59, -0.001, 0, 3600)]

    assert chosen == [old.key_id, old.key_id, new.key_id, new.key_id]
    assert timedelta(seconds=55) < new.valid_from - timezone.now() <= keyring.LEAD


def test_codes_of_both_keys_verify_by_their_time(key_files):
    keyring.published()
    starts = keyring.rotate().valid_from
    old, new = code_at(starts - timedelta(seconds=2)), code_at(starts + timedelta(seconds=2))

    assert [verify(code, at=starts + timedelta(minutes=1)).text for code in (old, new)] == [old, new]


def test_a_key_cannot_sign_for_another_keys_time(key_files):
    now = timezone.now()
    old = keyring.private_key_for(now)
    starts = keyring.rotate().valid_from
    forged = issue(TERMS, old, issued_at=int(starts.timestamp()) + 5)

    with pytest.raises(Exception, match="signature does not hold"):
        verify(forged, at=starts + timedelta(minutes=1))


def test_keys_follow_each_other_without_gap_or_overlap(key_files):
    for _ in range(3):
        keyring.rotate()

    newest, middle, first = keyring.published()
    assert (first.valid_to, middle.valid_to, newest.valid_to) == (middle.valid_from, newest.valid_from, None)


@pytest.mark.parametrize(("start", "end"), [(-60, None), (-60, -20), (-25, -20), (-25, 5), (-1, 20), (15, None)])
def test_postgresql_refuses_two_keys_for_one_moment(key_files, start, end):
    now = timezone.now()
    for key_id, since, until in [("a", -30, 10), ("b", 10, None)]:
        ends = None if until is None else now + timedelta(until)
        SigningKey.objects.create(key_id=key_id, public_key="", valid_from=now + timedelta(since), valid_to=ends)
    sql = "INSERT INTO merchants_signingkey (key_id, public_key, valid_from, valid_to) VALUES ('x', '', %s, %s)"

    with pytest.raises(IntegrityError, match="signing_key_one_at_a_time"), transaction.atomic():
        connection.cursor().execute(sql, [now + timedelta(start), end if end is None else now + timedelta(end)])


@pytest.mark.django_db
def test_postgresql_refuses_a_key_without_life():
    now = timezone.now()

    with pytest.raises(IntegrityError, match="signing_key_lives"), transaction.atomic():
        SigningKey.objects.create(key_id="x", public_key="", valid_from=now, valid_to=now)


def test_both_keys_are_published_everywhere(key_files, as_stranger):
    [old] = keyring.published()
    new = keyring.rotate()

    shown = as_stranger.get("/v1/codes/public-key").json()
    jwks = as_stranger.get("/.well-known/jwks.json").json()

    assert (shown["algorithm"], shown["format"], shown["keyId"]) == ("Ed25519", "SPKI/PEM", old.key_id)
    assert [key["keyId"] for key in shown["keys"]] == [key["kid"] for key in jwks["keys"]] == [new.key_id, old.key_id]


def test_a_jwk_is_the_same_key_as_its_pem(key_files, as_stranger):
    shown = as_stranger.get("/v1/codes/public-key").json()
    [jwk] = as_stranger.get("/.well-known/jwks.json").json()["keys"]
    pem = serialization.load_pem_public_key(shown["publicKey"].encode()).public_bytes_raw()

    assert base64.urlsafe_b64decode(jwk.pop("x") + "=") == pem
    assert jwk == {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": shown["keyId"]}


@pytest.mark.django_db
def test_the_environments_key_signs_and_leaves_no_file(settings, tmp_path):
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = SEEDS, tmp_path

    code = code_at(timezone.now())

    assert (SigningKey.objects.get().pk, list(tmp_path.iterdir())) == (id_of(SEEDS[0]), [])
    Ed25519PrivateKey.from_private_bytes(b"a" * 32).public_key().verify(
        decode(code).signature, decode(code).signed_bytes
    )


@pytest.mark.django_db
def test_a_rotation_takes_the_environments_next_key(settings):
    settings.RAKO_SIGNING_KEYS = SEEDS[:1]
    keyring.published()
    settings.RAKO_SIGNING_KEYS = SEEDS[::-1]

    assert keyring.rotate().pk == id_of(SEEDS[1])


@pytest.mark.django_db
def test_a_rotation_without_a_new_key_is_refused(settings):
    settings.RAKO_SIGNING_KEYS = SEEDS[:1]
    keyring.published()

    with pytest.raises(ImproperlyConfigured, match="put a new one first"):
        keyring.rotate()


@pytest.mark.parametrize("text", ["not base64!", "c2hvcnQ=", "é", base64.b64encode(b"a" * 33).decode()])
def test_malformed_keys_are_reported_without_being_shown(settings, text):
    settings.RAKO_SIGNING_KEYS = [text]

    with pytest.raises(ImproperlyConfigured, match="RAKO_SIGNING_KEYS is malformed") as raised:
        keyring.check_environment()
    assert text not in str(raised.value)


def test_live_mode_makes_no_key_of_its_own(key_files, settings, as_stranger):
    settings.RAKO_MODE = "live"

    reply = as_stranger.get("/v1/codes/public-key")

    assert (reply.status_code, reply["X-Error-Code"]) == (503, "signing_key_unavailable")
    assert not key_files.exists()


def test_a_lost_key_file_stops_signing_and_not_verifying(key_files):
    code = code_at(timezone.now())
    [path] = key_files.iterdir()
    path.unlink()
    keyring.forget()

    assert verify(code, at=timezone.now()).text == code
    with pytest.raises(keyring.NoSigningKey):
        code_at(timezone.now())


def test_eight_threads_make_the_first_key_once(transactional_db, settings, tmp_path):
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = [], tmp_path

    found = race(lambda _: keyring.private_key_for(timezone.now()).private_bytes_raw())

    errors = [result for result in found if isinstance(result, Exception)]
    assert (errors, len({str(key) for key in found}), SigningKey.objects.count()) == ([], 1, 1)
    assert len(list((tmp_path / "keys").iterdir())) == 1  # whoever was late leaves no private key behind


def test_rotations_at_the_same_time_leave_one_key_signing(transactional_db, settings, tmp_path):
    settings.RAKO_SIGNING_KEYS, settings.RAKO_DATA_DIR = [], tmp_path
    keyring.published()

    race(lambda _: keyring.rotate())

    assert SigningKey.objects.filter(valid_to=None).count() == 1
    assert keyring.public_key_for(timezone.now() + timedelta(hours=1)) is not None


def test_no_thread_misses_the_key_while_another_reads_it_anew(transactional_db):
    keyring.published()
    moment, interval = timezone.now(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def look(_):
        for _ in range(150):
            keyring.forget()  # as a refresh or a rotation does
            if keyring.public_key_for(moment) is None or not keyring.private_key_for(moment):
                raise LookupError("the key was not to be found")

    found = race(look)

    sys.setswitchinterval(interval)
    assert [result for result in found if result is not None] == []


def test_a_published_key_tells_how_long_it_is_good_for(key_files, as_stranger):
    keyring.published()

    [shown] = as_stranger.get("/v1/codes/public-key").json()["keys"]

    assert (shown["validTo"], shown["validFrom"][-1]) == (None, "Z")
