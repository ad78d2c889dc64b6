"""The suite by itself: independent of our code, its own arithmetic right, its reports and exit codes true."""

import os
import subprocess
import sys
from decimal import Decimal
from xml.etree import ElementTree

import pytest

import conformance.sections  # noqa: F401 - registers the rules
from conformance import commission, ed25519, reports
from conformance.config import BadConfig, load
from conformance.rules import RULES, Level, Rule
from conformance.running import Outcome, Result
from tests.test_architecture import ROOT, imports_of

GIVEN = {"base_url": "http://127.0.0.1:9", "agent_key": "aap_a", "merchant_key": "aap_m"}
SOURCES = sorted((ROOT / "conformance").rglob("*.py"))


def suite(*arguments, **environment):
    command = [sys.executable, "-m", "conformance", *arguments]
    kept = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)


def result(outcome, level=Level.MUST, detail=""):
    return Result(Rule("a-rule", "1", level, "It | holds.", (), lambda _: None), outcome, detail, 0.5)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_imports_nothing_but_itself_httpx_and_the_standard_library(path):
    allowed = sys.stdlib_module_names | {"conformance", "httpx"}

    assert {module.split(".")[0] for module in imports_of(path)} <= allowed


def test_each_rule_says_what_it_holds_a_server_to():
    assert len(RULES) >= 45
    for rule in RULES.values():
        assert rule.sentence.endswith(".")
        assert rule.section in {"0", "1", "2", "3", "4", "5"}


def test_each_file_of_rules_is_registered():
    files = {path.stem for path in SOURCES if path.parent.name == "sections"} - {"__init__"}

    assert files == {rule.check.__module__.rpartition(".")[2] for rule in RULES.values()}


def test_the_rules_in_the_docs_are_those_of_the_code():
    listed = suite("--list").stdout

    assert listed
    assert listed in (ROOT / "docs" / "conformance.md").read_text()


# RFC 8032, section 7.1, tests 1 to 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
        "55141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS, ids=["empty", "one byte", "two bytes"])
def test_its_ed25519_is_that_of_the_rfc(key, message, signature):
    parts = [bytes.fromhex(part) for part in (key, message, signature)]
    flipped = bytes([parts[2][0] ^ 1]) + parts[2][1:]

    assert ed25519.verify(*parts)
    assert not ed25519.verify(parts[0], parts[1] + b"x", parts[2])
    assert not ed25519.verify(parts[0], parts[1], flipped)
    assert not ed25519.verify(parts[0], parts[1], parts[2][:-1])


@pytest.mark.parametrize(
    ("terms", "value", "path", "wanted"),
    [
        ({"type": "cpa", "value": 8}, "10", "aap_flow", ("8.00", "1.60", "6.40")),
        ({"type": "cpa", "value": 8}, "10", "tracked_link", ("6.00", "1.20", "4.80")),
        ({"type": "percentage", "value": 5}, "189.00", "aap_flow", ("9.45", "1.89", "7.56")),
        ({"type": "percentage", "value": 5}, "449.00", "aap_flow", ("22.45", "4.49", "17.96")),
        ({"type": "hybrid", "value": 3, "min": 15}, "487.32", "tracked_link", ("22.22", "4.44", "17.78")),
    ],
)
def test_its_commission_is_that_of_the_published_vectors(terms, value, path, wanted):
    split = commission.split(terms, Decimal(value), path, 20)

    assert tuple(str(part) for part in split.values()) == wanted


def test_what_is_given_beside_the_file_wins(tmp_path):
    file = tmp_path / "subject.toml"
    file.write_text('base_url = "http://other.example"\nwithout = ["disputes"]\n')

    subject = load(file, GIVEN | {"base_url": "http://127.0.0.1:9/"})

    assert subject.base_url == "http://127.0.0.1:9"
    assert subject.lacks("disputes") == "the server is said to be without disputes"
    assert subject.lacks("webhook") == "the configuration has no webhook"
    assert subject.lacks("batches") == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("base_url = 'http://x'", "agent_key, merchant_key must be given"),
        ("x =", "Invalid value"),
        ("unknown = 1", "unexpected keyword argument 'unknown'"),
        ("[expired]\nsession_id = 'x'", "[expired]"),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path, text, why):
    file = tmp_path / "subject.toml"
    file.write_text(text)
    given = {} if "base_url" in text else GIVEN

    with pytest.raises(BadConfig) as refused:
        load(file, given)

    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 1, "base_url, agent_key, merchant_key must be given"),
        (("--config", "/nowhere"), 1, "/nowhere"),
        (("--rule", "nothing"), 2, "there is no rule nothing"),
        (("--list", "--rule", "health-is-public"), 0, ""),
    ],
)
def test_its_exit_codes(arguments, code, said):
    done = suite(*arguments)

    assert (done.returncode, said in done.stderr) == (code, True)


def test_a_server_that_is_not_there_could_not_be_tested():
    done = suite(AAP_BASE_URL=GIVEN["base_url"], AAP_AGENT_KEY="aap_a", AAP_MERCHANT_KEY="aap_m")

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def test_junit_tells_what_failed_and_what_was_skipped():
    results = [result(Outcome.PASSED), result(Outcome.FAILED, detail='<"\x00'), result(Outcome.SKIPPED, detail="why")]

    suite = ElementTree.fromstring(reports.junit(results))  # noqa: S314 - our own

    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [case.get("classname") for case in suite] == ["section-1.MUST"] * 3
    assert suite.find("testcase/failure").get("message") == '<" '
    assert suite.find("testcase/skipped").get("message") == "why"


def test_markdown_begins_with_what_failed():
    text = reports.markdown([result(Outcome.PASSED), result(Outcome.FAILED, Level.SHOULD, "a | b")], "http://x")

    assert "2 rules: 1 passed, 0 MUST failed, 1 SHOULD failed, 0 skipped." in text
    rows = [row for row in text.splitlines() if row.startswith("| ") and "a-rule" in row]
    assert rows == [
        "| FAIL | 1 | SHOULD | `a-rule` | a \\| b |",
        "| ok | 1 | MUST | `a-rule` | It \\| holds. |",
    ]


def test_only_a_failed_must_breaks_the_protocol():
    assert result(Outcome.FAILED).breaks_the_protocol
    assert not result(Outcome.FAILED, Level.SHOULD).breaks_the_protocol
    assert not result(Outcome.SKIPPED).breaks_the_protocol
