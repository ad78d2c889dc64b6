"""The ledger in the admin: it shows everything and takes nothing."""

import html
import json
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from ledger.admin.log import signature_problem
from ledger.conversions import record_conversion
from ledger.lifecycle import Told, tell
from ledger.models import Checkpoint, Conversion, Cosignature, Entry, Event, Evidence, Head, LogKey, Verification
from rako.core.tlog.signer import Signer
from tests import staff
from tests.factories import OfferFactory
from tests.ledger.log import publish_log, sell

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def conversion(recommendation, proof):
    sale = record_conversion(recommendation, proof(details={"note": HOSTILE})).conversion
    tell(sale.merchant_id, Told(Event.Kind.DISPUTE_OPENED, "pi_1", "dp_1", sale.converted_at, reason=HOSTILE))
    sale.refresh_from_db()
    return sale


@pytest.fixture
def published(conversion, tmp_path):
    """The sale in the log, a checkpoint with a cosignature, and a verification."""
    checkpoint = publish_log(tmp_path)
    Cosignature.objects.create(checkpoint=checkpoint, witness="w.example", line="— w.example AAAA\n")
    Verification.objects.create(
        mode="full", entries=2, size=2, is_sound=False, seconds=1, findings=[{"check": "V2", "detail": HOSTILE}]
    )
    return checkpoint


def pages(conversion):
    """Pages of their own, which no model registers."""
    entry = Entry.objects.order_by("id").first()
    return [
        reverse("admin:ledger_stream", args=[conversion.pk]),
        reverse("admin:ledger_balances"),
        reverse("admin:ledger_postings", query={"account": "merchant_accrued", "owner_id": "-", "currency": "GBP"}),
        reverse("admin:ledger_entry_proof", args=[entry.pk]),
        reverse("admin:ledger_conversion_proof", args=[conversion.pk, "merchant"]),
        reverse("admin:ledger_checkpoint_note", args=[Checkpoint.objects.get().pk]),
    ]


# --- Who may


@pytest.mark.parametrize("model", [Checkpoint, Conversion, Entry, Event, Evidence, LogKey, Verification])
@pytest.mark.parametrize("kind", ["add", "change", "delete"])
def test_the_ledger_refuses_even_a_superuser(published, model, kind):
    row = model.objects.first()
    before = list(model.objects.order_by("pk").values())
    address = staff.page(model, kind, *(() if kind == "add" else (row.pk,)))

    reply = staff.superuser().post(address, {"status": "x", "reference": "x", "kind": "x", "post": "yes"})

    assert reply.status_code == 403
    assert list(model.objects.order_by("pk").values()) == before


def test_view_only_staff_see_every_page(published, conversion):
    auditor = staff.viewer()

    statuses = [auditor.get(page).status_code for page in pages(conversion)]

    # The factory's recommendation has no entry, so its sale has no proof: the page says so.
    assert statuses == [200, 200, 200, 200, 302, 200]


def test_strangers_are_asked_to_log_in(published, conversion):
    replies = [Client().get(page) for page in pages(conversion)]

    assert [reply.status_code for reply in replies] == [302] * 6
    assert all("/admin/login/" in reply["Location"] for reply in replies)


def test_staff_without_permissions_see_none_of_them(published, conversion):
    clerk = Client()
    clerk.force_login(User.objects.create_user("clerk", is_staff=True))

    assert [clerk.get(page).status_code for page in pages(conversion)] == [403] * 6
    assert "rako-ledger" not in clerk.get("/admin/").content.decode()


# --- Conversions


def test_a_conversion_shows_its_money_its_evidence_and_its_entries(conversion):
    page = staff.shown(staff.superuser(), conversion)

    for text in ("10.00 GBP", "8.00 GBP", "1.60 GBP", "6.40 GBP", "pi_1", "conversion.recorded"):
        assert text in page
    assert all(bytes(entry.leaf_hash).hex() in page for entry in Entry.objects.all())
    assert "&quot;fee_minor&quot;: 160" in page


def test_a_conversion_leads_to_session_recommendation_merchant_and_timeline(conversion):
    page = staff.shown(staff.superuser(), conversion)

    for row in (conversion.session, conversion.recommendation, conversion.merchant):
        assert staff.page(type(row), "change", row.pk) in page
    assert reverse("admin:ledger_stream", args=[conversion.pk]) in page


def test_a_held_conversion_says_so_in_words_and_by_a_sign(conversion):
    page = staff.superuser().get(staff.page(Conversion, "changelist")).content.decode()

    assert '<span class="rako-badge rako-held"><span aria-hidden="true">⚠</span> disputed</span>' in page


@pytest.mark.parametrize("status", Conversion.Status.values)
def test_the_list_can_be_narrowed_to_any_status(conversion, status):
    reply = staff.superuser().get(staff.page(Conversion, "changelist"), {"status__exact": status})

    assert [row.pk for row in reply.context["cl"].queryset] == [conversion.pk] * (status == "disputed")


def test_the_list_sums_up_what_it_is_narrowed_to(conversion):
    boss = staff.superuser()

    whole = boss.get(staff.page(Conversion, "changelist"))
    none = boss.get(staff.page(Conversion, "changelist"), {"merchant__id__exact": "0" * 26})

    assert whole.context_data["totals"] == [
        {
            "count": "1",
            "transaction_value": "10.00 GBP",
            "commission": "8.00 GBP",
            "network_fee": "1.60 GBP",
            "builder_payout": "6.40 GBP",
        }
    ]
    assert none.context_data["totals"] == []


# --- Entries, events, the log


def test_an_entry_shows_its_body_and_its_hash(conversion):
    entry = Entry.objects.order_by("id").first()

    page = staff.shown(staff.superuser(), entry)

    assert bytes(entry.leaf_hash).hex() in page
    assert f"&quot;conversion_id&quot;: &quot;{conversion.pk}&quot;" in page


def test_an_event_that_waits_for_its_sale_shows_minor_units(recommendation):
    sale_of = recommendation.offer.merchant_id
    tell(sale_of, Told(Event.Kind.REFUNDED, "pi_9", "re_1", recommendation.created_at, amount_minor=1250))

    assert "1,250 minor units" in staff.shown(staff.superuser(), Event.objects.get())


def test_a_checkpoint_shows_its_note_and_that_its_signature_holds(published):
    page = staff.shown(staff.superuser(), published)

    assert published.note in html.unescape(page)
    assert "holds: signed by rako.sh/ledger" in page
    assert "w.example" in page


def test_a_checkpoint_that_the_log_did_not_sign_is_told_apart(published, tmp_path):
    signer = Signer.create(tmp_path / "other", "rako.sh/ledger")
    head = published.head

    forged = Checkpoint(head=head, note=signer.sign(head.size, bytes(head.root), [], old_size=0))
    moved = Checkpoint(head=Head(size=head.size, root=bytes(32)), note=published.note)

    assert signature_problem(published) == ""
    assert "no trusted key" in signature_problem(forged)
    assert signature_problem(moved) == "it is over another head"


def test_a_downloaded_note_ends_in_the_cosignatures(published):
    reply = staff.viewer().get(reverse("admin:ledger_checkpoint_note", args=[published.pk]))

    assert reply.content.decode() == published.note + "— w.example AAAA\n"
    assert reply["Content-Disposition"] == f'attachment; filename="checkpoint-{published.pk}.txt"'


def test_what_others_wrote_is_escaped_on_every_page(published, conversion):
    boss = staff.superuser()
    rows = [
        conversion,
        *Entry.objects.all(),
        *Event.objects.all(),
        *Evidence.objects.all(),
        *Verification.objects.all(),
    ]

    shown = [staff.shown(boss, row) for row in rows] + [
        boss.get(page).content.decode() for page in pages(conversion)[:3]
    ]
    shown.append(boss.get("/admin/").content.decode())

    assert not [page for page in shown if HOSTILE in page]
    assert sum("&lt;script&gt;" in page for page in shown) >= 6


# --- Proofs


@pytest.fixture
def sale(agent):
    return sell(agent, OfferFactory())


def proof_page(sale, party):
    return reverse("admin:ledger_conversion_proof", args=[sale.pk, party])


@pytest.mark.parametrize("party", ["merchant", "agent"])
def test_a_downloaded_proof_convinces_whoever_has_the_published_keys(sale, party, tmp_path):
    publish_log(tmp_path / "signer")
    file, code_keys = tmp_path / "proof.json", tmp_path / "jwks.json"
    code_keys.write_bytes(Client().get("/.well-known/jwks.json").content)

    reply = staff.viewer().get(proof_page(sale, party))
    file.write_bytes(reply.content)
    log_keys = [
        word
        for purpose, option in (("checkpoint", "--log-key"), ("receipt", "--receipt-key"))
        for vkey in LogKey.objects.filter(purpose=purpose).values_list("vkey", flat=True)
        for word in (option, vkey)
    ]
    command = [sys.executable, "-I", settings.BASE_DIR / "tools" / "verify_proof.py", file]
    checked = subprocess.run(
        [*command, *log_keys, "--code-key", code_keys], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert reply["Content-Disposition"] == f'attachment; filename="conversion-{sale.pk}.proof.json"'
    assert "no-store" in reply["Cache-Control"]
    assert json.loads(reply.content)["party"] == party


def test_a_conversion_offers_a_proof_to_each_party(sale):
    page = staff.shown(staff.viewer(), sale)

    assert all(
        f'<a href="{proof_page(sale, party)}">Proof for the {party}</a>' in page for party in ("merchant", "agent")
    )


def test_a_proof_that_is_not_to_be_had_yet_is_asked_for_again(sale):
    reply = staff.viewer().get(proof_page(sale, "merchant"), follow=True)

    assert reply.redirect_chain == [(staff.page(Conversion, "change", sale.pk), 302)]
    assert "not in a signed checkpoint yet" in staff.said(reply)[0]


def test_a_sale_older_than_the_ledger_says_why_it_has_no_proof(published, conversion):
    reply = staff.viewer().get(proof_page(conversion, "agent"), follow=True)

    assert "There is no proof" in staff.said(reply)[0]


@pytest.mark.parametrize("party", ["buyer", "Merchant"])
def test_there_is_no_proof_for_anybody_else(sale, party):
    assert staff.superuser().get(proof_page(sale, party)).status_code == 404


def test_an_entry_leads_to_its_place_in_the_log(published, conversion):
    entry = Entry.objects.order_by("id").first()
    auditor = staff.viewer()
    address = reverse("admin:ledger_entry_proof", args=[entry.pk])

    assert address in staff.shown(auditor, entry)
    assert auditor.get(address).content.decode().startswith("c2sp.org/tlog-proof@v1\nindex 0\n")


def test_an_entry_that_is_not_in_a_checkpoint_is_asked_for_again(conversion):
    entry = Entry.objects.order_by("id").first()

    reply = staff.viewer().get(reverse("admin:ledger_entry_proof", args=[entry.pk]), follow=True)

    assert "not in a signed checkpoint yet" in staff.said(reply)[0]
