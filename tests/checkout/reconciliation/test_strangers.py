"""What belongs to others is not ours to find, to mend or to show."""

from django.utils import timezone

from checkout.connectors.sandbox import disputes, refunds
from checkout.models import Finding
from ledger.models import Conversion
from merchants.models import Connection
from rako.core.ids import new_id
from tests.checkout.psp import checkout_of, pay
from tests.checkout.reconciliation.story import foreign_payment, look, open_kinds, references, sold, sql
from tests.factories import OfferFactory, RecommendationFactory


def test_our_metadata_on_a_payment_that_is_not_ours(checkout):
    foreign = foreign_payment(checkout.connection, aap_checkout_id=new_id())

    assert open_kinds(checkout.connection) == {"foreign_metadata"}

    sql("UPDATE sandbox_payment SET metadata = '{}' WHERE id = %s", foreign.pk)
    assert open_kinds(checkout.connection) == set()


def test_payments_that_are_none_of_ours_are_nobodys_business(checkout):
    refunds.refund(foreign_payment(checkout.connection, order="4711"), 200)
    disputes.open_dispute(foreign_payment(checkout.connection))

    assert open_kinds(checkout.connection) == set()


def test_payments_of_an_earlier_connection_to_the_same_account_are_not_foreign(checkout):
    sold(checkout)
    old = checkout.connection
    Connection.objects.filter(pk=old.pk).update(status="disconnected", disconnected_at=timezone.now())
    new = Connection.objects.create(
        merchant=old.merchant,
        kind=old.kind,
        account_id=old.account_id,
        credentials=old.credentials,
        webhook_secrets=old.webhook_secrets,
    )

    assert open_kinds(new) == set()


def test_another_merchants_objects_never_appear(checkout):
    other = checkout_of(RecommendationFactory())
    pay(checkout)
    pay(other)

    look(checkout.connection)

    assert set(Finding.objects.values_list("connection", "merchant")) == {
        (checkout.connection_id, checkout.merchant_id)
    }


def test_a_payment_that_points_to_another_merchants_checkout_is_foreign(checkout):
    other = checkout_of(RecommendationFactory(offer=OfferFactory()))
    foreign = foreign_payment(checkout.connection, aap_checkout_id=other.pk)

    look(checkout.connection, fixing=True)

    assert references("foreign_metadata") == [foreign.pk]
    assert Conversion.objects.count() == 0
