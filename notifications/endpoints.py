"""Endpoints of merchants and builders: made, changed, disabled, and what they are sent about themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from merchants.models import Merchant
from notifications.addresses import BadAddress, target_of
from notifications.catalogue import ENDPOINT_DISABLED, PING
from notifications.dispatching import position
from notifications.models import Endpoint, Message, oldest_kept
from notifications.payloads import envelope
from notifications.replaying import index_at
from notifications.signing import new_secret
from rako.core.encryption import UndecipherableError
from rako.core.errors import BadRequest, Conflict, NotFound
from rako.core.wire import instant
from sessions_app.models import Builder

MOST = 10
OVERLAP = timedelta(hours=24)
State, Because = Endpoint.State, Endpoint.Because
Since = datetime | Literal["disabled"]


class EndpointNotFound(NotFound):
    code, message = "webhook_endpoint_not_found", "Webhook endpoint not found"


class MessageNotFound(NotFound):
    code, message = "delivery_not_found", "Delivery not found"


class TooManyEndpoints(Conflict):
    code, message = "too_many_webhook_endpoints", f"At most {MOST} webhook endpoints"


class EndpointDisabled(Conflict):
    code, message = "webhook_endpoint_disabled", "The webhook endpoint is disabled"


@transaction.atomic
def create_endpoint(
    owner: dict[str, str], *, url: str, description: str = "", event_types: Sequence[str] = ()
) -> Endpoint:
    """A new endpoint of a merchant (`merchant_id`) or a builder (`builder_id`). Raises BadRequest, TooManyEndpoints."""
    check_url(url)
    # One at a time for each owner: none of two makes the eleventh.
    model: Any = Merchant if "merchant_id" in owner else Builder
    model.objects.select_for_update(no_key=True).values_list("pk").get(pk=next(iter(owner.values())))
    if Endpoint.objects.filter(**owner).count() >= MOST:
        raise TooManyEndpoints()
    fields = {"url": url, "description": description, "event_types": list(event_types)}
    return Endpoint.objects.create(**owner, **fields, secret=new_secret())


@transaction.atomic
def change_endpoint(endpoint: Endpoint, changes: dict[str, Any]) -> Endpoint:
    """Set url, description or event_types; `state` enables and disables, and with `since` what was missed is queued.

    Disabled once more, it is so by its owner from then on. Raises BadRequest.
    """
    row, is_said = lock(endpoint), "state" in changes
    if "url" in changes:
        check_url(changes["url"])
    state, since = changes.pop("state", row.state), changes.pop("since", None)
    if changes.get("url", row.url) != row.url:
        changes |= {"failing_since": None}
        _hasten(row)
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))
    if since is not None:
        row.missed_index, row.missed_since = _missed(row, since, timezone.now())
        row.save(update_fields=["missed_index", "missed_since"])
    if is_said and state == row.state == State.DISABLED:
        row.disabled_because = Because.OWNER  # who knows of it now
        row.save(update_fields=["disabled_because"])
    elif state != row.state:
        if state == State.DISABLED:
            disable(row, Because.OWNER)
        elif since is None:
            enable(row)
        else:
            _enable(row)
    return row


def _missed(row: Endpoint, since: Since, now: datetime) -> tuple[int | None, datetime | None]:
    """From where on the log is to be read again for an endpoint, and of what time: of none that is forgotten."""
    oldest = oldest_kept(now)
    if isinstance(since, datetime):
        if not oldest <= since <= now:
            raise BadRequest(f"since must be one of the last {Message.KEPT.days} days", code="invalid_since")
        return _joined(row, index_at(since), since)
    if row.disabled_at is None:
        raise BadRequest("since is disabled, and the endpoint is not", code="invalid_since")
    if row.missed_index is None or row.disabled_at < oldest:
        return index_at(max(oldest, row.disabled_at)), row.missed_since
    return row.missed_index, row.missed_since


def _joined(row: Endpoint, index: int, since: datetime) -> tuple[int, datetime | None]:
    """The same, together with what an endpoint is being told already: that was promised."""
    if row.state != State.ENABLED or row.missed_index is None:
        return index, since
    return min(index, row.missed_index), None if row.missed_since is None else min(since, row.missed_since)


@transaction.atomic
def rotate_secret(endpoint: Endpoint) -> Endpoint:
    """Give it a new secret; the one before signs as well for a day. One that was still in overlap ends."""
    row = lock(endpoint)
    try:
        row.old_secret, row.old_secret_until = row.secret, timezone.now() + OVERLAP
    except UndecipherableError:  # its key is gone: only a new secret mends that
        row.old_secret = row.old_secret_until = None
    row.secret = new_secret()
    row.save(update_fields=["secret", "old_secret", "old_secret_until"])
    return row


@transaction.atomic
def delete_endpoint(endpoint: Endpoint) -> None:
    """Forget it with all its messages. What is on its way arrives, and is not noted."""
    lock(endpoint).delete()


@transaction.atomic
def enable(endpoint: Endpoint) -> None:
    """Send to it again, first of all what waits. What happened while it was disabled is not queued for it."""
    lock(endpoint)
    _enable(endpoint, missed_index=None, missed_since=None)


def _enable(endpoint: Endpoint, **changes: Any) -> None:
    changes |= {"state": State.ENABLED, "disabled_because": "", "disabled_at": None, "failing_since": None}
    Endpoint.objects.filter(pk=endpoint.pk).update(**changes)
    vars(endpoint).update(changes)
    _hasten(endpoint)


def _hasten(endpoint: Endpoint) -> None:
    """What waits for its next attempt need not wait any longer."""
    waiting = Message.objects.filter(endpoint=endpoint, state=Message.State.PENDING, due_at__gt=timezone.now())
    waiting.update(due_at=timezone.now())


@transaction.atomic
def disable(endpoint: Endpoint, because: Endpoint.Because) -> None:
    """Send nothing more to it. Its owner's other endpoints are told, unless the owner did it."""
    row, now = lock(endpoint), timezone.now()
    if row.state == State.DISABLED:
        return
    changes = {"state": State.DISABLED, "disabled_because": because, "disabled_at": now}
    if row.missed_index is None:  # or else it was still being told what it had missed before
        changes["missed_index"] = position()
    Endpoint.objects.filter(pk=endpoint.pk).update(**changes)
    vars(endpoint).update(changes)
    if because != Because.OWNER:
        facts = {"endpointId": row.pk, "url": row.url, "reason": str(because)}
        others = Endpoint.objects.filter(**row.owner, state=State.ENABLED).exclude(pk=row.pk)
        Message.objects.bulk_create(_own_message(other, ENDPOINT_DISABLED, now, facts) for other in others.only("pk"))


def send_test(endpoint: Endpoint) -> Message:
    """Queue a `test.ping`, whatever its event types. Raises EndpointDisabled."""
    if endpoint.state != State.ENABLED:
        raise EndpointDisabled()
    message = _own_message(endpoint, PING, timezone.now(), {"endpointId": endpoint.pk})
    message.save(force_insert=True)
    return message


@transaction.atomic
def resend(endpoint: Endpoint, message: Message) -> Message:
    """Send a message now, under its old id; one that had ended gets all its attempts again. Raises EndpointDisabled."""
    if lock(endpoint).state != State.ENABLED:
        raise EndpointDisabled()
    row = Message.objects.select_for_update().filter(pk=message.pk).first()
    if row is None:
        raise MessageNotFound()
    if row.state != Message.State.PENDING:
        row.state, row.attempts_made, row.ended_at = Message.State.PENDING, 0, None
    # An attempt that is on its way loses its say: what comes of it must not put this one off.
    row.due_at, row.leased_until = timezone.now(), None
    row.save(update_fields=["state", "attempts_made", "ended_at", "due_at", "leased_until"])
    return row


def check_url(url: str) -> None:
    """Raises BadRequest unless webhooks may go there. Its host's addresses are judged when something is sent."""
    try:
        target_of(url)
    except BadAddress as error:
        raise BadRequest(f"url {error}", code="invalid_url") from None


def lock(endpoint: Endpoint) -> Endpoint:
    """The endpoint's row, held: before its messages, like whoever sends them. Raises EndpointNotFound."""
    rows = Endpoint.objects.select_for_update(no_key=True, of=("self",)).defer("secret", "old_secret")
    row = rows.filter(pk=endpoint.pk).first()
    if row is None:
        raise EndpointNotFound()
    return row


def _own_message(endpoint: Endpoint, name: str, at: datetime, data: dict[str, Any]) -> Message:
    return Message(endpoint=endpoint, event_type=name, payload=envelope(name, instant(at), data))
