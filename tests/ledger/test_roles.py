"""The application's own role: it can do all of the product's work, and no more."""

import base64
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from checkout.models import Checkout
from ledger import roles
from ledger.lifecycle import Told, tell
from ledger.models import Checkpoint, Conversion, Event
from merchants import keyring
from merchants.models import SigningKey
from rako.core.append_only import GUARDED_TABLES
from sessions_app.models import Click
from tests.checkout.psp import deliver, paid_event
from tests.conftest import Api
from tests.core.test_append_only import CHANGEABLE
from tests.factories import AgentKeyFactory, MerchantKeyFactory, OfferFactory
from tests.ledger.deployment import APP, DEPLOY, become, deployed, protect
from tests.ledger.log import publish_log
from tests.ledger.test_forging import run


@pytest.fixture(scope="module")
def cast(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), deployed() as cast:
        yield cast


def sell(agent, merchant):
    """From the search to the merchant's own report, over HTTP as the parties and the PSP do."""
    found = agent.get("/v1/offers", vertical="sim").json()
    chosen = {"sessionId": found["sessionId"], "offerId": found["offers"][0]["id"]}
    recommended = agent.post("/v1/recommend", chosen).json()
    assert Api(None).get(f"/r/{recommended['recommendationId']}").status_code == 302
    asked = {"sessionId": found["sessionId"], "recommendationId": recommended["recommendationId"]}
    assert agent.post("/v1/checkout", asked).status_code == 200
    checkout = Checkout.objects.get()
    told = deliver(checkout.connection, paid_event(checkout)).json()
    assert told["status"] == "conversion_recorded"
    report = {"sessionId": found["sessionId"], "orderReference": "order-1", "transactionValue": 10.0}
    assert merchant.post("/v1/conversions", report).status_code in (200, 201)
    return Conversion.objects.get(pk=told["conversionId"])


def test_a_whole_sale_runs_as_the_application(cast, db, tmp_path):
    become(cast, APP)
    offer, key = OfferFactory(), AgentKeyFactory()
    agent, merchant = Api(key.secret), Api(MerchantKeyFactory(merchant=offer.merchant).secret)

    conversion = sell(agent, merchant)
    tell(offer.merchant_id, Told(Event.Kind.REFUNDED, conversion.order_reference, "re_1", timezone.now(), 100))
    checkpoint = publish_log(tmp_path)

    run("SET CONSTRAINTS ALL IMMEDIATE")
    assert run("SELECT current_user") == [(cast.app,)]
    assert (Click.objects.count(), Checkpoint.objects.get(), Event.objects.get().conversion) == (
        1,
        checkpoint,
        conversion,
    )
    for party in (agent, merchant):
        assert party.get(f"/v1/conversions/{conversion.pk}/proof").status_code == 200


def test_an_event_that_waited_finds_its_sale_as_the_application(cast, db):
    become(cast, APP)
    offer, key = OfferFactory(), AgentKeyFactory()
    early = Told(Event.Kind.REFUNDED, "order-1", "re_1", timezone.now(), 100)
    assert tell(offer.merchant_id, early) is None
    found = Api(key.secret).get("/v1/offers", vertical="sim").json()
    chosen = {"sessionId": found["sessionId"], "offerId": found["offers"][0]["id"]}
    Api(key.secret).post("/v1/recommend", chosen)

    report = {"sessionId": found["sessionId"], "orderReference": "order-1", "transactionValue": 10.0}
    Api(MerchantKeyFactory(merchant=offer.merchant).secret).post("/v1/conversions", report)

    assert Event.objects.get().conversion == Conversion.objects.get()


def test_the_signing_key_is_replaced_as_the_application(cast, db, settings):
    become(cast, APP)
    keyring.rotate()
    settings.RAKO_SIGNING_KEYS = [base64.b64encode(bytes(range(32))).decode()]

    keyring.rotate()

    assert [key.valid_to is None for key in SigningKey.objects.order_by("valid_from")] == [False, True]


def test_personal_text_is_erased_as_the_application(cast, db):
    become(cast, APP)

    assert run("DELETE FROM ledger_opening WHERE entry_id NOT IN (SELECT entry_id FROM ledger_posting)") == 1


# --- the application's role -------------------------------------------------------------------------------------------


def test_every_table_is_classified(db):
    tables = run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')")

    assert {name for (name,) in tables} == roles.access().keys()


def test_what_the_application_may_change_of_facts(db):
    allowed = {table: access for table, access in roles.access().items() if table in GUARDED_TABLES}

    assert {table: set(access.columns) for table, access in allowed.items() if access.columns} == CHANGEABLE
    assert [table for table, access in allowed.items() if "DELETE" in access.privileges] == ["ledger_opening"]
    uninserted = {table for table, access in allowed.items() if "INSERT" not in access.privileges}
    assert uninserted == {"ledger_entry", "ledger_posting", "ledger_opening"}
    assert [table for table, access in allowed.items() if "UPDATE" in access.privileges] == []


def test_the_owner_can_run_it_and_repeat_it(cast, db):
    held = (
        "SELECT relname, relacl::text, ARRAY(SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid) "
        "FROM pg_class c WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    before = run(held)
    become(cast, DEPLOY)

    said = protect(app_role=cast.app)

    assert said.endswith("0 privileges too many left\n")
    assert run(held) == before


@pytest.mark.parametrize(
    "privilege",
    [
        "GRANT UPDATE ON ledger_entry TO {app}",
        "GRANT UPDATE (kind), INSERT ON ledger_entry TO PUBLIC",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {app}",
        "GRANT TRUNCATE, TRIGGER, REFERENCES ON ledger_leaf TO {app}",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
    ],
)
def test_what_is_too_much_is_taken_back(cast, db, privilege):
    run(privilege.format(app=cast.app))
    assert roles.excess(cast.app)

    protect(app_role=cast.app)

    assert roles.excess(cast.app) == []


def test_what_comes_by_way_of_another_role_is_named(cast, db):
    run(f"CREATE ROLE rako_other; GRANT DELETE ON ledger_entry TO rako_other; GRANT rako_other TO {cast.app}")
    out = io.StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("protect_database", app_role=cast.app, stdout=out)

    assert (ended.value.code, "still has DELETE on ledger_entry" in out.getvalue()) == (3, True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ("ALTER ROLE {app} SUPERUSER", "is a superuser"),
        ("ALTER ROLE {app} CREATEROLE", "CREATEROLE"),
        ("GRANT {owner} TO {app}", "member of their owner"),
        ("ALTER TABLE ledger_entry OWNER TO {app}", "owns the tables"),
        ("ALTER ROLE {app} RENAME TO rako_gone", "there is no role"),
        ("DROP TRIGGER ledger_entry_no_change ON ledger_entry", "no guard on ledger_entry"),
    ],
)
def test_a_role_that_no_grant_can_hold_is_refused(cast, db, changes, reason):
    run(changes.format(**vars(cast)))

    with pytest.raises(CommandError, match=reason):
        protect(app_role=cast.app)


def test_whoever_is_not_the_owner_changes_nothing(cast, db):
    become(cast, APP)

    with pytest.raises(CommandError, match="run this as the owner"):
        protect(app_role=cast.app)


def test_a_dry_run_prints_sql_and_changes_nothing(cast, db):
    run(f"GRANT UPDATE ON ledger_entry TO {cast.app}")

    said = protect(app_role=cast.app, event_trigger=True, dry_run=True)

    assert f'GRANT EXECUTE ON FUNCTION ledger_append({roles.APPEND_ARGUMENTS}) TO "{cast.app}";' in said
    assert (roles.excess(cast.app) != [], run("SELECT 1 FROM pg_event_trigger")) == (True, [])


def test_there_must_be_something_to_do():
    with pytest.raises(CommandError, match="nothing to do"):
        protect()
