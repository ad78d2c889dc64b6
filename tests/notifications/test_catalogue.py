"""Whoever adds a kind of entry decides who is told of it."""

from ledger.models import Entry
from notifications.catalogue import KINDS, SALES
from tests.notifications.kinds import appended_kinds, source_files
from tests.settlement.months import JANUARY, Kind, close, confirmed, happened, sold
from tests.settlement.payouts import payout

TOLD_TO_NOBODY = {
    "search.recorded": "the agent's own call, whose reply says more; there are many",
    "recommendation.recorded": "the agent's own call; a merchant learns of it by what comes of it",
    "click.recorded": "anybody's click on a link, as many as they like: links have their statistics",
    "checkout.started": "nothing is at the processor yet; where it comes to is told, be it nothing",
    "evidence.attached": "a sale's level is shown with it; its commission and status stay",
    "evidence.contradicts": "it certifies nothing and changes nothing; who sent it knows",
    "hold.placed": "the sale's own conversion.held tells of it, without the signal that fraudsters would like to know",
    "hold.released": "conversion.released tells of it",
    "hold.confirmed": "conversion.fraud_found tells of it",
    "log.contradicted": "between a witness and us, and for whoever verifies the log",
}


def test_every_kind_of_entry_is_told_or_known_to_be_told_to_nobody():
    decided = {*KINDS, *SALES, *TOLD_TO_NOBODY}

    assert appended_kinds() - decided == set()
    assert decided - appended_kinds() == set()
    assert {*KINDS, *SALES} & {*TOLD_TO_NOBODY} == set()


def test_entries_are_appended_by_facts_alone():
    """What is not a `Fact` would be looked for in vain."""
    named = [path for path in source_files() if "ledger_append(" in path.read_text()]

    assert {path.name for path in named} == {"facts.py", "functions.py", "roles.py"}


def test_what_is_told_to_nobody_has_a_reason():
    assert all(len(reason) > 20 for reason in TOLD_TO_NOBODY.values())


def test_sources_name_the_kinds_that_are_really_appended(db):
    happened(sold(JANUARY), Kind.CANCELLED, JANUARY)
    happened(confirmed(JANUARY), Kind.FRAUD_FOUND, JANUARY)
    payout()
    close(2)

    appended = set(Entry.objects.values_list("kind", flat=True))

    assert len(appended) >= 8
    assert appended <= appended_kinds()
