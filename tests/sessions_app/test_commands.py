import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from merchants.models import MerchantKey
from sessions_app.models import Agent, AgentKey, Builder
from tests.factories import AgentFactory, AgentKeyFactory, MerchantFactory, MerchantKeyFactory

pytestmark = pytest.mark.django_db


def issue(*arguments):
    out = StringIO()
    call_command("issue_key", *arguments, stdout=out)
    return out.getvalue()


def test_a_new_agent_gets_a_builder_and_a_working_key():
    key, note = issue("agent", "Scout").splitlines()

    agent = AgentKey.find(key).agent
    assert (agent.name, agent.builder.name) == ("Scout", "Scout")
    assert note == "This is the agent key of Scout. It is not shown again."


def test_a_builder_can_be_named():
    issue("agent", "Scout", "--builder", "Acme")
    issue("agent", "Guide", "--builder", "Acme")

    assert list(Builder.objects.get().agents.values_list("name", flat=True)) == ["Guide", "Scout"]


def test_every_run_issues_another_key_of_the_same_agent():
    keys = [issue("agent", "Scout").splitlines()[0] for _ in range(2)]

    assert len({AgentKey.find(key).pk for key in keys}) == 2
    assert Agent.objects.count() == 1


def test_a_merchant_gets_a_working_key():
    merchant = MerchantFactory(connected=False, name="SMARTY")

    key = issue("merchant", "SMARTY").splitlines()[0]

    assert MerchantKey.find(key).merchant == merchant


@pytest.mark.parametrize("kind", ["agent", "merchant"])
def test_programs_read_json(kind):
    MerchantFactory(connected=False, name="SMARTY")

    shown = json.loads(issue(kind, "SMARTY", "--json"))

    row = {"agent": AgentKey, "merchant": MerchantKey}[kind].find(shown.pop("key"))
    assert shown == {"kind": kind, "name": "SMARTY", "id": row.pk}


def test_an_unknown_merchant_is_not_made():
    with pytest.raises(CommandError, match="no merchant is named Nobody"):
        issue("merchant", "Nobody")


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b"])
def test_a_bad_name_is_exit_code_2(name):
    with pytest.raises(CommandError, match="1 to 100 characters") as raised:
        issue("agent", name)
    assert raised.value.returncode == 2


@pytest.mark.parametrize("builder", ["x" * 121, "a\x00b"])
def test_a_bad_builder_is_refused_in_words(builder):
    with pytest.raises(CommandError):
        issue("agent", "Scout", "--builder", builder)


def test_without_rotation_older_keys_stay():
    old = AgentKeyFactory(agent__name="Scout", agent__builder__name="Scout")

    issue("agent", "Scout")

    old.refresh_from_db()
    assert old.expires_at is None


def test_rotation_lets_older_keys_of_the_same_owner_end():
    old = MerchantKeyFactory(merchant__name="SMARTY")
    other = MerchantKeyFactory()

    new = issue("merchant", "SMARTY", "--rotate", "24").splitlines()[0]

    old.refresh_from_db(), other.refresh_from_db()
    assert abs(old.expires_at - timezone.now() - timedelta(hours=24)) < timedelta(seconds=10)
    assert (other.expires_at, MerchantKey.find(new).expires_at) == (None, None)


def test_rotation_by_zero_hours_ends_older_keys_now():
    old = AgentKeyFactory(agent__name="Scout", agent__builder__name="Scout")

    issue("agent", "Scout", "--rotate", "0")

    assert AgentKey.find(old.secret) is None


def test_rotation_never_prolongs_a_key():
    soon = timezone.now() + timedelta(hours=1)
    old = AgentKeyFactory(agent__name="Scout", agent__builder__name="Scout", expires_at=soon)

    issue("agent", "Scout", "--rotate", "24")

    old.refresh_from_db()
    assert old.expires_at == soon


def test_rotation_does_not_revive_a_revoked_key():
    old = AgentKeyFactory(agent__name="Scout", agent__builder__name="Scout")
    old.revoke()

    issue("agent", "Scout", "--rotate", "24")

    assert AgentKey.find(old.secret) is None


@pytest.mark.parametrize("hours", ["-1", "99999999999"])
def test_an_absurd_overlap_is_refused_before_a_key_is_made(hours):
    AgentFactory(name="Scout", builder__name="Scout")

    with pytest.raises(CommandError):
        issue("agent", "Scout", f"--rotate={hours}")
    assert AgentKey.objects.count() == 0


@pytest.mark.parametrize("kind", ["builder", ""])
def test_there_are_no_other_kinds(kind):
    with pytest.raises(CommandError, match="invalid choice"):
        issue(kind, "Scout")


def test_keys_are_standard_unless_told():
    issue("agent", "Scout")

    assert (AgentKey.objects.get().tier, AgentKey.objects.get().rate_limit) == ("standard", None)


@pytest.mark.parametrize(
    ("told", "limit"),
    [(("growth",), None), (("enterprise",), None), (("enterprise", "--rate-limit", "1200"), 1200)],
)
def test_a_tier_can_be_told(told, limit):
    issue("agent", "Scout", "--tier", *told)

    assert (AgentKey.objects.get().tier, AgentKey.objects.get().rate_limit) == (told[0], limit)


@pytest.mark.parametrize("told", [("standard", "5"), ("growth", "5"), ("enterprise", "0"), ("enterprise", "-1")])
def test_a_number_is_of_enterprise_keys_and_at_least_1(told):
    with pytest.raises(CommandError, match="--rate-limit") as raised:
        issue("agent", "Scout", "--tier", told[0], "--rate-limit", told[1])

    assert (raised.value.returncode, AgentKey.objects.count()) == (2, 0)
