"""Builders, agents and their keys in the admin."""

import re

import pytest

from sessions_app.models import AgentKey, Recommendation
from tests import staff
from tests.conftest import Api
from tests.factories import AgentFactory, RecommendationFactory


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
