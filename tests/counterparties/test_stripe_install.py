"""What is told when the counterparty is not, or not wholly, installed."""

import json
import sys

import pytest

from tests.counterparties import fixtures, install


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("RAKO_COUNTERPARTIES", str(tmp_path))
    return tmp_path / "stripe"


def test_what_was_left_half_way_does_not_count(elsewhere):
    elsewhere.mkdir()
    (elsewhere / "openapi.json").write_text("{}")

    assert not install.is_installed()
    assert install.missing() == "run python -m tests.counterparties.install"


def test_other_versions_do_not_count(elsewhere):
    elsewhere.mkdir()
    (elsewhere / "stamp.json").write_text(json.dumps({**install.STAMP, "pyodide": "0.1"}))

    assert not install.is_installed()


def test_without_node_there_is_an_exit_code_of_its_own(elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(elsewhere))

    assert install.main() == 3
    assert capsys.readouterr().err == "NOT INSTALLED: node is not installed\n"


def test_a_failed_step_is_told_in_one_line_and_begun_anew(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert install.main() == 1
    assert capsys.readouterr().err == "NOT INSTALLED: /bin/false -m venv … failed: no message\n"
    assert not elsewhere.exists()


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("all", pytest.fail.Exception)])
def test_a_missing_counterparty_is_told_loudly(elsewhere, monkeypatch, required, outcome):
    monkeypatch.setenv("RAKO_TEST_REQUIRE", required)

    with pytest.raises(outcome, match="NO STRIPE COUNTERPARTY: run python -m"):
        next(fixtures.run_stripe())
