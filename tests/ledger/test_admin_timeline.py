"""A stream as the admin shows it: every entry in order, with what it moved, and whether its chain holds."""

import pytest
from django.urls import reverse

from ledger.admin.journey import journey
from ledger.admin.shown_entries import show_entries, with_all
from ledger.admin.timeline import PAGE, timeline
from ledger.conversions import record_conversion
from ledger.lifecycle import Told, tell
from ledger.models import Conversion, Entry, Event, Opening
from rako.core.ids import new_id
from sessions_app.clicks import log_click
from sessions_app.recommend import record_recommendation
from sessions_app.search import create_session, parse_query
from tests import staff
from tests.checkout.psp import checkout_of, deliver, paid_event
from tests.factories import OfferFactory
from tests.ledger.log import append, publish_log


@pytest.fixture
def conversion(recommendation, proof):
    return record_conversion(recommendation, proof()).conversion


def page_of(stream_id, **query):
    address = reverse("admin:ledger_stream", args=[stream_id])
    return staff.viewer().get(address, query).content.decode()


def shown(entry):
    return show_entries(list(with_all(Entry.objects.filter(pk=entry.pk))), None)[0]


def test_an_entry_shows_its_postings_in_debit_and_credit(conversion):
    lines = timeline(conversion.pk).entries[0].lines

    assert [(line.account.name, line.owner.name, line.debit, line.credit) for line in lines] == [
        ("merchant accrued", conversion.merchant.name, "8.00", ""),
        ("builder pending", conversion.builder.name, "", "6.40"),
        ("fee pending", "the network", "", "1.60"),
    ]
    assert staff.page(type(conversion.builder), "change", conversion.builder_id) == lines[1].owner.url


def test_facts_are_a_table_with_money_and_links(conversion):
    facts = {row.name: row for row in timeline(conversion.pk).entries[0].facts}

    assert facts["commission › amount"].text == "8.00 GBP"
    assert facts["session id"].url == staff.page(type(conversion.session), "change", conversion.session_id)
    assert facts["evidence › sha256"].text == "ab" * 32


def test_openings_are_marked_with_whom_they_are_for(conversion):
    page = page_of(conversion.pk)

    merchant, agent = page.index("For the merchant alone"), page.index("For the agent alone")
    assert page.index("order reference", merchant) < agent < page.index("builder id", agent)


def test_an_entry_has_no_index_until_it_is_sequenced(conversion, tmp_path):
    before = page_of(conversion.pk)
    publish_log(tmp_path)

    assert "not sequenced yet" in before
    assert timeline(conversion.pk).entries[0].index == 0


def test_times_say_that_they_are_utc(conversion):
    entry = Entry.objects.get()

    assert f"{entry.recorded_at:%Y-%m-%d %H:%M:%S}.{entry.recorded_at.microsecond // 1000:03} UTC" in page_of(
        conversion.pk
    )


# --- What does not hold


@pytest.mark.django_db
def test_a_chain_holds_from_page_to_page():
    stream = new_id()
    for _ in range(PAGE + 2):
        append(stream_id=stream)

    pages = [timeline(stream, page) for page in (1, 2)]

    assert [entry.entry.stream_seq for page in pages for entry in page.entries] == list(range(1, PAGE + 3))
    assert all(entry.follows and entry.is_hashed for page in pages for entry in page.entries)


@pytest.mark.django_db
def test_an_entry_that_does_not_follow_is_called_out():
    stream = new_id()
    append(stream_id=stream)
    second = Entry.objects.get(pk=append(stream_id=stream).id)

    found = show_entries(list(with_all(Entry.objects.filter(pk=second.pk))), b"\1" * 32)[0]

    assert (found.follows, found.is_hashed) == (False, True)


@pytest.mark.django_db
def test_a_changed_body_is_called_out():
    entry = Entry.objects.get(pk=append(facts={"a": 1}).id)
    rows = list(with_all(Entry.objects.filter(pk=entry.pk)))
    rows[0].body = bytes(rows[0].body).replace(b'"a":1', b'"a":2')

    assert show_entries(rows, None)[0].is_hashed is False


@pytest.mark.django_db
def test_a_body_that_is_no_json_is_still_shown():
    rows = list(with_all(Entry.objects.filter(pk=append().id)))
    rows[0].body = b"\xff<script>"

    found = show_entries(rows, None)[0]

    assert (found.is_hashed, found.follows, found.facts) == (False, False, [])
    assert "&lt;script&gt;" in found.raw


@pytest.mark.django_db
def test_an_erased_opening_is_told_and_breaks_nothing():
    entry_id = append(for_merchant={"reference": "pi_1"}, for_agent={"text": "x"}).id
    Opening.objects.filter(party="agent")._raw_delete(using="default")

    openings = shown(Entry.objects.get(pk=entry_id)).openings

    assert [(opening.party, bool(opening.rows), opening.state[:6]) for opening in openings] == [
        ("merchant", True, ""),
        ("agent", False, "erased"),
    ]


def test_an_opening_that_is_not_the_sealed_one_is_called_out(conversion):
    rows = list(with_all(Entry.objects.all()))
    rows[0].openings.all()[0].content = b'{"nonce":"0"}'

    states = {opening.party: opening.state for opening in show_entries(rows, None)[0].openings}

    assert states == {"merchant": "", "agent": "not what the body has sealed"}


def test_postings_that_the_body_does_not_tell_of_are_called_out(conversion):
    rows = list(with_all(Entry.objects.all()))
    rows[0].postings.all()[0].amount_minor += 1

    assert show_entries(rows, None)[0].lines_differ is True


# --- Bounds


@pytest.mark.django_db
def test_facts_of_any_depth_and_length_fit():
    deep = nested = {}
    for _ in range(30):
        nested["x"] = nested = {}
    entry = append(facts={"deep": deep, "many": {f"k{n}": n for n in range(500)}, "long": "é" * 5000})

    found = shown(Entry.objects.get(pk=entry.id))

    assert len(found.facts) == 101
    assert max(len(row.text) for row in found.facts) <= 501


@pytest.mark.django_db
@pytest.mark.parametrize(("page", "first"), [("", 1), ("2", 51), ("99", 51), ("0", 1), ("-1", 1), ("²", 1), ("x", 1)])
def test_a_page_that_is_none_is_the_nearest(page, first):
    stream = new_id()
    for _ in range(60):
        append(stream_id=stream)

    assert f'<span class="rako-number">{first}</span>' in page_of(stream, page=page)


@pytest.mark.django_db
def test_a_long_stream_costs_no_more_queries_than_a_short_one(django_assert_max_num_queries):
    stream = new_id()
    for _ in range(PAGE * 2):
        append(stream_id=stream)

    with django_assert_max_num_queries(5):
        timeline(stream, 2)


def test_a_stream_that_nothing_was_stated_of_says_so(recommendation):
    assert "Nothing was stated of this" in page_of(recommendation.pk)


@pytest.mark.django_db
def test_what_is_no_id_has_no_timeline():
    assert staff.viewer().get(reverse("admin:ledger_stream", args=["<script>"])).status_code == 404


# --- Across streams


@pytest.fixture
def walked(agent):
    """The checkout of a sale that began with a search and whose link was followed."""
    session, _ = create_session(agent, parse_query({"vertical": "sim", "max_price": "12"}))
    recommendation, *_ = record_recommendation(agent, session_id=session.pk, offer_id=OfferFactory().pk)
    log_click(recommendation, address="10.0.0.1", user_agent="Mozilla")
    checkout = checkout_of(recommendation)
    deliver(checkout.connection, paid_event(checkout))
    return checkout


def test_every_subject_leads_to_its_timeline(walked):
    auditor = staff.viewer()

    for row in (walked, walked.session, walked.recommendation, walked.session.conversions.get()):
        timeline_url = reverse("admin:ledger_stream", args=[row.pk])
        assert timeline_url in staff.shown(auditor, row)
        assert staff.page(type(row), "change", row.pk) in auditor.get(timeline_url).content.decode()


def test_the_journey_tells_a_sale_from_search_to_its_moves(walked):
    conversion = Conversion.objects.get()
    reference = conversion.evidence.get().reference
    tell(conversion.merchant_id, Told(Event.Kind.DISPUTE_OPENED, reference, "dp_1", conversion.converted_at))

    steps = journey(conversion)

    stages = [step.stage for step in steps]
    assert list(dict.fromkeys(stages)) == ["Search", "Recommendation", "Checkout", "Payment", "Conversion", "Move"]
    assert "max price 12.00" in steps[0].text
    assert "Commission 8.00 GBP = network fee 1.60 GBP + builder’s payout 6.40 GBP" in [step.text for step in steps]
    assert steps[-1].text == "Dispute opened: pending validation → disputed, commission left 8.00 GBP"
    auditor = staff.viewer()
    assert {auditor.get(url).status_code for step in steps for url in (step.url, step.stream_url)} == {200}


def test_a_journey_costs_a_bounded_number_of_queries(walked, django_assert_max_num_queries):
    conversion = Conversion.objects.select_related("recommendation", "offer", "agent__builder").get()

    with django_assert_max_num_queries(5):
        journey(conversion)
