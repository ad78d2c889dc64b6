"""Staff issue a merchant's secret for order events, and see it once."""

import re

from merchants.models import Merchant, OrderFeed
from merchants.order_feeds import PREFIX, drop_old, issue_secret
from tests import staff
from tests.factories import MerchantFactory
from tests.merchants.test_admin import boss

__all__ = ["boss"]


def test_a_secret_is_shown_once(boss):
    merchant = MerchantFactory()

    page = staff.act(boss, "issue_order_secret", merchant).content.decode()

    [secret] = OrderFeed.objects.get(pk=merchant.pk).secrets
    assert secret in page
    assert f"/v1/acp/orders/{merchant.pk}" in page
    assert secret not in boss.get(staff.page(Merchant, "change", merchant.pk)).content.decode()


def test_the_old_one_is_dropped_where_there_is_one(boss):
    merchant = MerchantFactory()
    issue_secret(merchant)
    page = staff.page(Merchant, "change", merchant.pk)
    offered = ["drop_old_order_secret" in boss.get(page).content.decode()]
    _, newest = issue_secret(merchant)
    offered.append("drop_old_order_secret" in boss.get(page).content.decode())

    staff.act(boss, "drop_old_order_secret", merchant)

    assert OrderFeed.objects.get().secrets == [newest]
    assert offered == [False, True]
    assert drop_old(merchant) is False


def test_a_closed_merchant_gets_none(boss):
    staff.act(boss, "issue_order_secret", MerchantFactory(status="closed"))

    assert not OrderFeed.objects.exists()


def test_secrets_cannot_be_guessed_and_differ(db):
    made = {issue_secret(MerchantFactory())[1] for _ in range(3)}

    assert len(made) == 3
    assert all(re.fullmatch(f"{PREFIX}[A-Za-z0-9_-]{{43}}", secret) for secret in made)
