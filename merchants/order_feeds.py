"""The secrets of merchants' order events: issued by us, shown once, rotated with overlap (docs/bridges.md)."""

import logging
import secrets

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from merchants.models import Merchant, OrderFeed
from rako.core.ids import is_id

log = logging.getLogger("rako.order_feeds")

PREFIX = "acpsec_"
MOST_SECRETS = 2


@transaction.atomic
def issue_secret(merchant: Merchant, *, drop_old: bool = False) -> tuple[OrderFeed, str]:
    """A new secret, put in front, which nobody can read again; the one before it is accepted, too, unless dropped."""
    secret = PREFIX + secrets.token_urlsafe(32)
    # Made first, so that there is a row to lock: of two at once, neither forgets the other's.
    OrderFeed.objects.get_or_create(merchant=merchant, defaults={"secrets": []})
    feed = OrderFeed.objects.select_for_update().get(merchant=merchant)
    feed.secrets = [secret] if drop_old else [secret, *feed.secrets][:MOST_SECRETS]
    feed.issued_at = timezone.now()
    feed.save()
    log.info("merchant %s has a new secret for order events, %s in all", merchant.pk, len(feed.secrets))
    return feed, secret


def has_old_secret(merchant: Merchant) -> bool:
    """Whether a secret before the newest is still accepted."""
    feed = OrderFeed.objects.filter(pk=merchant.pk).first()
    return feed is not None and len(feed.secrets) > 1


@transaction.atomic
def drop_old(merchant: Merchant) -> bool:
    """Accept the newest secret alone; whether there was an older one."""
    feed = OrderFeed.objects.select_for_update().filter(pk=merchant.pk).first()
    if feed is None or len(feed.secrets) < 2:
        return False
    feed.secrets = feed.secrets[:1]
    feed.save(update_fields=["secrets"])
    return True


def find_feed(merchant_id: str) -> OrderFeed | None:
    """The feed of a merchant that is not closed, with its merchant; None if it has no secret."""
    rows = OrderFeed.objects.select_related("merchant").exclude(merchant__status=Merchant.Status.CLOSED)
    return rows.filter(pk=merchant_id).first() if is_id(merchant_id) else None


def address_of(merchant: Merchant) -> str:
    """Where the merchant sends its order events."""
    return f"{settings.RAKO_BASE_URL}/v1/acp/orders/{merchant.pk}"
