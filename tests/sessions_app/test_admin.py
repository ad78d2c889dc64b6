"""Builders, agents and their keys in the admin."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from sessions_app.models import AgentKey, Recommendation
from tests import staff
from tests.conftest import Api
from tests.factories import AgentFactory, AgentKeyFactory, RecommendationFactory


@pytest.fixture
def boss(db):
    return staff.superuser()


@pytest.mark.parametrize("party", [lambda agent: agent, lambda agent: agent.builder], ids=["agent", "builder"])
def test_switching_off_an_agent_or_its_builder_ends_its_keys_until_switched_on(boss, agent, as_agent, party):
    staff.act(boss, "deactivate", party(agent))
    assert as_agent.get("/v1/offers").status_code == 401

    staff.act(boss, "activate", party(agent))
    assert as_agent.get("/v1/offers").status_code == 200


def test_an_issued_key_works_until_it_is_revoked(boss):
    reply = boss.post(staff.page(AgentKey, "add"), {"name": "production", "agent": AgentFactory().pk}, follow=True)
    api = Api(re.search(r"<code>(aap_[\w-]{43})</code>", reply.content.decode())[1])
    assert api.get("/v1/offers").status_code == 200

    staff.act(boss, "revoke_now", AgentKey.objects.get())

    assert api.get("/v1/offers").status_code == 401


@pytest.mark.parametrize(("state", "count"), [("usable", 1), ("revoked", 0), ("expired", 0)])
def test_keys_are_filtered_by_state(boss, agent_key, state, count):
    assert boss.get(staff.page(AgentKey, "changelist"), {"state": state}).context["cl"].result_count == count


def test_an_agent_does_not_change_hands(boss, agent):
    other = AgentFactory().builder

    fields = {"name": "renamed", "builder": other.pk, "is_active": "on", "keys-TOTAL_FORMS": 0, "keys-INITIAL_FORMS": 0}
    boss.post(staff.page(type(agent), "change", agent.pk), fields)

    agent.refresh_from_db()
    assert (agent.name, agent.builder == other) == ("renamed", False)


def test_view_only_staff_cannot_switch_or_revoke(agent_key, as_agent):
    auditor = staff.viewer()

    staff.act(auditor, "deactivate", agent_key.agent)
    staff.act(auditor, "revoke_now", agent_key)

    assert as_agent.get("/v1/offers").status_code == 200


def test_a_session_shows_what_was_recommended_and_a_recommendation_what_its_code_says(boss):
    recommendation = RecommendationFactory(context="<b>lowest</b> price")

    assert "&lt;b&gt;lowest&lt;/b&gt; price" in staff.shown(boss, recommendation.session)
    assert "&quot;iss&quot;: &quot;rako.sh&quot;" in staff.shown(boss, Recommendation.objects.get())


@pytest.mark.parametrize(("tier", "number", "limit"), [("growth", "", 300), ("enterprise", "90", 90), ("", "", 60)])
def test_staff_issue_keys_with_a_limit(boss, tier, number, limit):
    fields = {"name": "production", "agent": AgentFactory().pk, "tier": tier, "rate_limit": number}

    page = boss.post(staff.page(AgentKey, "add"), fields, follow=True).content.decode()

    key = re.search(r"<code>(aap_[\w-]{43})</code>", page)[1]
    assert Api(key).get("/v1/offers")["X-RateLimit-Limit"] == str(limit)


def test_a_number_is_of_enterprise_keys_only(boss):
    fields = {"name": "production", "agent": AgentFactory().pk, "tier": "growth", "rate_limit": "90"}

    page = boss.post(staff.page(AgentKey, "add"), fields).content.decode()

    assert "Only enterprise keys have a number" in page
    assert not AgentKey.objects.exists()


def test_staff_change_limits_with_a_reason_that_is_kept(boss):
    key = AgentKeyFactory(tier="standard")
    asked = {"tier": "enterprise", "rate_limit": "90", "reason": "Agreed in July"}

    first = staff.act(boss, "change_limit", key).content.decode()
    staff.act(boss, "change_limit", key, **asked)

    assert ("Requests a minute" in first, Api(key.secret).get("/v1/offers")["X-RateLimit-Limit"]) == (True, "90")
    said = LogEntry.objects.get(object_id=key.pk).change_message
    assert said == "Limit changed to enterprise (90): Agreed in July"


@pytest.mark.parametrize("asked", [{"tier": "standard", "rate_limit": "5"}, {"tier": "enterprise", "rate_limit": "0"}])
def test_a_limit_that_cannot_be_is_told_in_words(boss, asked):
    key = AgentKeyFactory(tier="standard")

    page = staff.act(boss, "change_limit", key, reason="x", **asked).content.decode()

    key.refresh_from_db()
    assert ("errorlist" in page, key.tier, key.rate_limit) == (True, "standard", None)


def test_view_only_staff_see_limits_and_change_none(db):
    key, viewer = AgentKeyFactory(rate_limit=90), staff.viewer()

    staff.act(viewer, "change_limit", key, tier="enterprise", rate_limit="", reason="No")

    key.refresh_from_db()
    assert (key.rate_limit, "90" in staff.shown(viewer, key)) == (90, True)
