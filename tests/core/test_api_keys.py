import hashlib
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from merchants.models import Merchant, MerchantKey
from rako.core.api_keys import kinds
from sessions_app.models import AgentKey
from tests.factories import AgentFactory, AgentKeyFactory, MerchantFactory, MerchantKeyFactory

pytestmark = pytest.mark.django_db


def issued():
    return AgentKey.issue(name="Mine", agent=AgentFactory())


def test_a_new_key_is_long_and_random():
    keys = {issued()[1] for _ in range(50)}

    assert len(keys) == 50
    assert all(key.startswith("aap_") and len(key) == 47 for key in keys)


def test_a_key_is_found_by_itself():
    row, key = issued()

    assert AgentKey.find(key) == row


def test_the_database_holds_a_digest_and_a_prefix_only():
    row, key = issued()
    with connection.cursor() as cursor:
        cursor.execute("SELECT sessions_app_agentkey::text FROM sessions_app_agentkey WHERE id = %s", [row.pk])
        stored = cursor.fetchone()[0]

    assert hashlib.sha256(key.encode()).hexdigest() in stored
    assert key[:12] in stored
    assert key[:13] not in stored


@pytest.mark.parametrize("spoil", [str.upper, lambda key: key[:-1], lambda key: key + "x", lambda key: ""])
def test_another_text_finds_no_key(spoil):
    _, key = issued()

    assert AgentKey.find(spoil(key)) is None


def test_a_revoked_key_ends_at_once(as_agent, agent_key):
    before = as_agent.get("/v1/offers").status_code

    agent_key.revoke()

    assert (before, as_agent.get("/v1/offers").status_code) == (200, 401)


def test_the_first_revocation_stands():
    row, _ = issued()
    row.revoke()
    first = AgentKey.objects.get(pk=row.pk).revoked_at

    row.revoke()

    assert AgentKey.objects.get(pk=row.pk).revoked_at == first


@pytest.mark.parametrize(("seconds", "is_found"), [(60, True), (-1, False)])
def test_an_old_key_overlaps_until_it_expires(seconds, is_found):
    key = AgentKeyFactory(expires_at=timezone.now() + timedelta(seconds=seconds))

    assert (AgentKey.find(key.secret) is not None) is is_found


def test_a_key_without_an_end_and_its_successor_both_work():
    agent = AgentFactory()
    keys = [AgentKey.issue(name="Key", agent=agent)[1] for _ in range(2)]

    assert [AgentKey.find(key).agent for key in keys] == [agent, agent]


def test_finding_an_agents_key_takes_one_query(django_assert_num_queries):
    key = AgentKeyFactory()

    with django_assert_num_queries(1):
        found = AgentKey.find(key.secret)
        assert found.agent.name == key.agent.name


def test_finding_a_merchants_key_takes_one_query(django_assert_num_queries):
    key = MerchantKeyFactory()

    with django_assert_num_queries(1):
        assert MerchantKey.find(key.secret).merchant.name == key.merchant.name


@pytest.mark.parametrize("owner", ["agent", "builder"])
def test_keys_of_an_inactive_owner_open_nothing(owner):
    key = AgentKeyFactory(**{"agent__is_active" if owner == "agent" else "agent__builder__is_active": False})

    assert AgentKey.find(key.secret) is None


@pytest.mark.parametrize(("status", "is_found"), [("active", True), ("suspended", True), ("closed", False)])
def test_only_closed_merchants_lose_their_keys(status, is_found):
    key = MerchantKeyFactory(merchant=MerchantFactory(status=status))

    assert (MerchantKey.find(key.secret) is not None) is is_found


def test_there_are_two_kinds_of_key():
    assert kinds() == {"agent": AgentKey, "merchant": MerchantKey}


def test_one_key_never_opens_two_accounts():
    AgentKey.issue(key="aap_twice", name="One", agent=AgentFactory())

    with pytest.raises(IntegrityError, match="digest"), transaction.atomic():
        AgentKey.issue(key="aap_twice", name="Two", agent=AgentFactory())


def test_a_published_key_is_stored_like_any_other():
    row, key = MerchantKey.issue(key="aap_demo_merchant_key", name="Demo", merchant=MerchantFactory())

    assert (key, MerchantKey.find("aap_demo_merchant_key")) == ("aap_demo_merchant_key", row)


def test_a_key_shows_its_name_and_prefix():
    row, key = issued()

    assert str(row) == f"Mine ({key[:12]}…)"


def test_an_owner_with_keys_cannot_be_deleted():
    key = MerchantKeyFactory()

    with pytest.raises(ProtectedError, match="keys"):
        Merchant.objects.filter(pk=key.merchant.pk).delete()
