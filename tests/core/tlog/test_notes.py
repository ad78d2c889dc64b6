"""Notes: the published examples byte for byte, and nothing that another reader might read otherwise."""

import base64
import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rako.core.tlog.notes import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    NoteError,
    NoteSigner,
    Verifier,
    note_text,
    open_note,
    parse_vkey,
)
from tests.core.tlog.stub_witness import WitnessKey

# The example of Go's reference implementation (golang.org/x/mod/sumdb/note), whose format the specification describes.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
NOTE = f"{TEXT}\n{LINE}"
# The example of the specification itself. Its key was never published: the form can be checked, the signature not.
POEM = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
POEM_LINE = (
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)


def test_the_reference_note_opens():
    opened = open_note(NOTE, [parse_vkey(VKEY)])

    assert (opened.text, opened.names) == (TEXT, ("PeterNeumann",))
    assert [signature.line for signature in opened.signatures] == [LINE]


def test_the_reference_key_signs_the_reference_note_byte_for_byte():
    signer = NoteSigner("PeterNeumann", Ed25519PrivateKey.from_private_bytes(SEED))

    assert (signer.vkey, signer.sign(TEXT)) == (VKEY, NOTE)


def test_the_specifications_note_has_a_text_with_an_empty_line():
    assert note_text(f"{POEM}\n{POEM_LINE}") == POEM


def test_a_note_of_unknown_keys_only_is_refused():
    with pytest.raises(NoteError, match="no trusted key"):
        open_note(f"{POEM}\n{POEM_LINE}", [parse_vkey(VKEY)])


def test_signatures_of_unknown_keys_are_passed_over():
    namesake = NoteSigner("PeterNeumann", Ed25519PrivateKey.generate()).sign(TEXT).removeprefix(f"{TEXT}\n")

    opened = open_note(f"{TEXT}\n{POEM_LINE}{LINE}{namesake}", [parse_vkey(VKEY)])

    assert opened.names == ("PeterNeumann",)


def test_a_wrong_signature_of_a_known_key_spoils_the_note():
    other = NoteSigner("other", Ed25519PrivateKey.generate())
    both = other.sign(TEXT.replace("problem", "trouble")).replace("trouble", "problem") + LINE

    assert open_note(both, [parse_vkey(VKEY)]).names == ("PeterNeumann",)
    with pytest.raises(NoteError, match="does not hold"):
        open_note(both, [parse_vkey(VKEY), other.verifier])


def test_signing_twice_counts_once():
    assert open_note(NOTE + LINE, [parse_vkey(VKEY)]).names == ("PeterNeumann",)


def test_two_keys_of_one_identity_are_refused(monkeypatch):
    monkeypatch.setattr(Verifier, "key_id", bytes(4))
    keys = [Verifier("name", 1, bytes(32)), Verifier("name", 1, b"\1" * 32)]

    with pytest.raises(NoteError, match="share the name and id"):
        open_note(NOTE, keys)


def test_no_flipped_bit_of_the_text_or_signature_is_overlooked():
    for at in range(len(TEXT)):
        with pytest.raises(NoteError):
            open_note(TEXT[:at] + chr(ord(TEXT[at]) ^ 1) + TEXT[at + 1 :] + "\n" + LINE, [parse_vkey(VKEY)])
    signature = base64.b64decode(LINE.split()[2])
    for at in range(len(signature)):
        flipped = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        with pytest.raises(NoteError):
            open_note(f"{TEXT}\n— PeterNeumann {base64.b64encode(flipped).decode()}\n", [parse_vkey(VKEY)])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}{LINE}",
        f"{TEXT}\n{LINE}"[:-1],
        f"{TEXT}\n{LINE}\n",
        f"{TEXT}\n{LINE}garbage\n",
        f"{TEXT}\ngarbage\n{LINE}",
        f"{TEXT}\n{LINE.replace('— ', '- ')}",
        f"{TEXT}\n{LINE.replace('— ', '—')}",
        f"{TEXT}\n {LINE}",
        f"{TEXT}\n{LINE.replace('PeterNeumann ', 'PeterNeumann  ')}",
        f"{TEXT}\n{LINE.replace('PeterNeumann ', '')}",
        f"{TEXT}\n{LINE.replace('=', '')}",
        f"{TEXT}\n{LINE.replace('JnAM=', 'JnAN=')}",
        f"{TEXT}\n{LINE}— a b\n",
        f"{TEXT}\n{LINE}— a AAAAAA==\n",
        f"{TEXT}\n{LINE}— a+b AAAAAAA=\n",
        f"{TEXT}\n{LINE}— a\u00a0b AAAAAAA=\n",
        f"{TEXT}\n{LINE}".replace("\n", "\r\n"),
        f"{TEXT}\n{LINE}".replace("think", "\tthink"),
        f"{TEXT}\n{LINE}".replace("think", "think\0"),
        f"{TEXT}\n{LINE}".replace("think", "\ud800"),
        f"{TEXT}\n{LINE}{POEM_LINE * MAX_SIGNATURES}",
        f"{'a' * MAX_NOTE_BYTES}\n\n{LINE}",
    ],
)
def test_what_is_not_exactly_a_note_is_refused(note):
    with pytest.raises(NoteError):
        open_note(note, [parse_vkey(VKEY)])


def test_sixteen_signatures_of_post_quantum_length_are_read():
    long_line = f"— pq.example {base64.b64encode(bytes(5000)).decode()}\n"

    assert open_note(f"{TEXT}\n{long_line * 16}{LINE}", [parse_vkey(VKEY)]).text == TEXT


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "return\r\n", "\ud800\n", "a" * MAX_NOTE_BYTES + "\n"])
def test_what_no_note_can_say_is_not_signed(text):
    with pytest.raises(NoteError):
        NoteSigner("name", Ed25519PrivateKey.generate()).sign(text)


@pytest.mark.parametrize("text", ["\n", "a\n", "a\n\n", "a\n\n\nb\n", "— a b\n", "a\n\n— PeterNeumann AAAAAAA=\n"])
def test_any_text_of_lines_comes_back_out_of_its_note(text):
    signer = NoteSigner("name", Ed25519PrivateKey.generate())

    assert open_note(signer.sign(text), [signer.verifier]).text == text


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\0", "\ud800"])
def test_no_key_has_such_a_name(name):
    with pytest.raises(NoteError):
        NoteSigner(name, Ed25519PrivateKey.generate())


def test_no_part_and_no_mangling_of_a_key_is_a_key():
    parts = [VKEY[i:j] for i in range(len(VKEY)) for j in range(i + 1, len(VKEY) + 1) if (i, j) != (0, len(VKEY))]
    manglings = [VKEY[:i] + chr(ord(VKEY[i]) + 1) + VKEY[i + 1 :] for i in range(len(VKEY))]

    for text in [*parts, *manglings, f"{VKEY}\n", f" {VKEY}", VKEY.replace("c74f20a3", "C74F20A3")]:
        with pytest.raises(NoteError):
            parse_vkey(text)


@pytest.mark.parametrize(
    "material", [b"\x02" + bytes(32), b"\x06" + bytes(32), b"\x01" + bytes(33), b"\x01" + bytes(31)]
)
def test_keys_of_other_kinds_or_lengths_are_refused(material):
    key_id = hashlib.sha256(b"name\n" + material).hexdigest()[:8]

    with pytest.raises(NoteError, match="known kind"):
        parse_vkey(f"name+{key_id}+{base64.b64encode(material).decode()}")


def test_a_cosignature_tells_when_the_witness_saw_the_text():
    witness = WitnessKey("witness.example/w1")

    opened = open_note(NOTE + witness.line(TEXT, time=1_679_315_147), [parse_vkey(VKEY), parse_vkey(witness.vkey)])

    assert [(found.name, found.timestamp) for found in opened.signatures] == [
        ("PeterNeumann", None),
        ("witness.example/w1", 1_679_315_147),
    ]


def test_a_cosignature_holds_for_its_own_time_only():
    witness = WitnessKey("witness.example/w1")
    raw = base64.b64decode(witness.line(TEXT, time=5).split()[2])
    later = base64.b64encode(raw[:4] + struct.pack(">Q", 6) + raw[12:]).decode()

    with pytest.raises(NoteError, match="does not hold"):
        open_note(f"{TEXT}\n— witness.example/w1 {later}\n", [parse_vkey(witness.vkey)])


@pytest.mark.parametrize("time", [2**63, 2**64 - 1])
def test_a_cosignature_of_no_possible_time_is_refused(time):
    witness = WitnessKey("witness.example/w1")

    with pytest.raises(NoteError, match="time"):
        open_note(f"{TEXT}\n{witness.line(TEXT, time=time)}", [parse_vkey(witness.vkey)])


def test_a_plain_signature_does_not_pass_as_a_cosignature_of_the_same_key():
    witness = WitnessKey("witness.example/w1")
    plain = NoteSigner("witness.example/w1", witness.private_key)

    with pytest.raises(NoteError, match="no trusted key"):
        open_note(plain.sign(TEXT), [parse_vkey(witness.vkey)])
    renamed = base64.b64decode(plain.sign(TEXT).split()[-1])[4:]
    key_id = parse_vkey(witness.vkey).key_id
    with pytest.raises(NoteError, match="not a cosignature"):
        open_note(
            f"{TEXT}\n— witness.example/w1 {base64.b64encode(key_id + renamed).decode()}\n", [parse_vkey(witness.vkey)]
        )
