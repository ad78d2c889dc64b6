import os
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from rako.core.env import base_url, load_env_file, one_of, setting, whole_number, words

NAME = "RAKO_TEST_SETTING"


@pytest.fixture(autouse=True)
def _clean():
    yield
    for name in (NAME, f"{NAME}_TOO"):
        os.environ.pop(name, None)


def test_the_environment_wins_over_the_default(monkeypatch):
    monkeypatch.setenv(NAME, " 7 ")

    assert setting(NAME, whole_number(1, 9), "3") == 7


def test_a_default_is_parsed_as_well():
    assert setting(NAME, whole_number(1, 9), "3") == 3


def test_a_missing_setting_is_named():
    with pytest.raises(ImproperlyConfigured, match=NAME):
        setting(NAME, str)


def test_a_malformed_setting_is_named(monkeypatch):
    monkeypatch.setenv(NAME, "ten")

    with pytest.raises(ImproperlyConfigured, match=f"{NAME} is malformed: a whole number from 1 to 9 is expected"):
        setting(NAME, whole_number(1, 9), "3")


@pytest.mark.parametrize("secret", ["$ecret-with-a-dollar", "$", "a$b", "#5", "pass=word", "'quoted'"])
def test_a_secret_is_taken_as_it_is(monkeypatch, secret):
    monkeypatch.setenv(NAME, secret)

    assert setting(NAME, str, "the default") == secret


@pytest.mark.parametrize("raw", ["", "-1", "+1", "1.0", "1e3", "0x1", "٣", "²", "1 0", "1_0", "0", "10"])
def test_only_whole_numbers_within_bounds_are_taken(raw):
    with pytest.raises(ValueError, match="whole number from 1 to 9"):
        whole_number(1, 9)(raw)


@pytest.mark.parametrize(("raw", "number"), [("1", 1), ("9", 9), ("007", 7)])
def test_both_bounds_are_included(raw, number):
    assert whole_number(1, 9)(raw) == number


@pytest.mark.parametrize("raw", ["", "YES", "yes ", "true"])
def test_only_the_given_words_are_taken(raw):
    with pytest.raises(ValueError, match="expected one of yes, no"):
        one_of("yes", "no")(raw)


@pytest.mark.parametrize(("raw", "found"), [("", []), (" , ,", []), ("a", ["a"]), (" a , b,", ["a", "b"])])
def test_words_drop_empty_ones(raw, found):
    assert words(raw) == found


@pytest.mark.parametrize(
    ("raw", "found"),
    [("https://rako.example/", "https://rako.example"), ("http://127.0.0.1:3456", "http://127.0.0.1:3456")],
)
def test_a_base_url_has_no_trailing_slash(raw, found):
    assert base_url(raw) == found


@pytest.mark.parametrize(
    "raw",
    [
        "", "rako.example", "ftp://rako.example", "https://", "https:///path", "https://rako.example/path",
        "https://rako.example?q=1", "https://[::1", "javascript:alert(1)", "//rako.example",
        "https://rako.example#x", "https://rako.example?", "https://rako.example:port", "https://rako.example:99999",
        "https://user:word@rako.example", "https://ra ko.example",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(raw):
    with pytest.raises(ValueError, match=r"."):
        base_url(raw)


def test_an_env_file_gives_defaults_only(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(f"{NAME}=file\n{NAME}_TOO=file\n")
    monkeypatch.setenv(NAME, "environment")

    load_env_file(tmp_path / ".env")

    assert (os.environ[NAME], os.environ[f"{NAME}_TOO"]) == ("environment", "file")


def test_a_missing_env_file_is_no_error():
    assert load_env_file(Path("/nowhere/.env")) is None
