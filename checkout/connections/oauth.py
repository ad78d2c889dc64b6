"""Connecting by Stripe Connect: staff send the merchant to Stripe, and Stripe sends them back with a code.

The state that goes there and back is random, bound to the admin session and the merchant, good once and for ten
minutes. What comes back without it, whatever else it brings, connects nobody.
"""

import hashlib
import logging
import secrets
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.connections.connecting import clash, keep, leave_account
from checkout.connections.errors import AlreadyConnected, OAuthRefused, ProbeFailed
from checkout.connections.probing import is_live_here, probe
from checkout.connections.standing import tell_of_return
from checkout.connectors.base import ConnectionRevoked, ConnectorError, PspRejected
from checkout.connectors.stripe import oauth
from merchants.models import Connection, Merchant, OAuthState
from rako.core.errors import RakoError

log = logging.getLogger("rako.connections")

GOOD_FOR = timedelta(minutes=10)
_KEPT = timedelta(days=1)
_LONGEST = 500


def is_offered() -> bool:
    """Whether merchants can connect so: the platform's client id, key and webhook secret are all set."""
    return oauth.is_configured() and bool(settings.RAKO_STRIPE_PLATFORM_WEBHOOK_SECRETS)


def begin(merchant: Merchant, *, session_key: str, redirect_uri: str) -> str:
    """The address at Stripe where the merchant agrees. Raises OAuthRefused, AlreadyConnected."""
    if not is_offered():
        raise OAuthRefused("Stripe Connect is not set up here")
    if merchant.connections.exclude(status="disconnected").exists():
        raise AlreadyConnected()
    state = secrets.token_urlsafe(32)
    OAuthState.objects.filter(created_at__lt=timezone.now() - _KEPT).delete()
    OAuthState.objects.create(state_sha256=_digest(state), session_sha256=_digest(session_key), merchant=merchant)
    return oauth.authorize_url(state, redirect_uri)


def claim(state: str, *, session_key: str) -> Merchant:
    """For whom this session began with this state, once and in time. Raises OAuthRefused."""
    now = timezone.now()
    begun = OAuthState.objects.filter(
        state_sha256=_digest(state), session_sha256=_digest(session_key), used_at=None, created_at__gt=now - GOOD_FOR
    )
    # One UPDATE: of two that come at the same time, the second finds it used.
    if not begun.update(used_at=now):
        raise OAuthRefused(
            "This return from Stripe was used before, is older than ten minutes, or was begun in another session: "
            "begin again at the merchant"
        )
    return OAuthState.objects.select_related("merchant").get(state_sha256=_digest(state)).merchant


def finish(merchant: Merchant, params: Mapping[str, str]) -> Connection:
    """Make the connection that Stripe's answer allows. The state is claimed; not to be called inside a transaction.

    Raises OAuthRefused, AlreadyConnected, AccountTaken or what the probe does; then nothing is kept, here or at Stripe.
    """
    if params.get("error"):
        denied = params["error"] == "access_denied"
        raise OAuthRefused("The merchant said no at Stripe" if denied else "Stripe did not let the merchant agree")
    code = params.get("code", "")
    if not code or len(code) > _LONGEST:
        raise OAuthRefused("Stripe's answer has no code")
    granted = _exchange(code)
    try:
        return _connect(merchant, granted)
    except RakoError:
        # What the merchant granted for nothing is given back, unless another connection lives by it.
        leave_account(granted.account_id)
        raise


def _exchange(code: str) -> oauth.Granted:
    try:
        return oauth.complete(code)
    except PspRejected:
        raise OAuthRefused("Stripe does not take the code: it was used before or is too old. Begin again") from None
    except ConnectionRevoked:
        raise OAuthRefused("Stripe refuses the platform's key or client id: see the settings") from None
    except ConnectorError:
        raise ProbeFailed("Stripe did not answer: begin again") from None


def _connect(merchant: Merchant, granted: oauth.Granted) -> Connection:
    if granted.is_live != is_live_here():
        mode = "live" if is_live_here() else "test"
        raise OAuthRefused(f"Stripe connected the other mode: this deployment takes {mode} accounts only")
    if granted.scope != "read_write":
        raise OAuthRefused("The merchant granted less than is needed: the scope must be read_write")
    candidate = Connection(
        merchant=merchant,
        kind="stripe",
        mode=Connection.Mode.CONNECT,
        account_id=granted.account_id,
        is_live=granted.is_live,
        credentials={"mode": "connect"},
        webhook_secrets=[],
    )
    probe(candidate)
    return _revived(candidate) or keep(candidate)


def _revived(candidate: Connection) -> Connection | None:
    """The merchant's earlier connection to the same account, standing again: what was sold through it is still paid
    for through the platform's one address, and must be found there."""
    earlier = Connection.objects.filter(
        merchant=candidate.merchant, kind="stripe", mode=candidate.mode, account_id=candidate.account_id
    )
    own = earlier.select_related("merchant").order_by("-pk").first()
    if own is None or own.is_live != candidate.is_live:
        return None
    own.status, own.disconnected_at, own.connected_at = Connection.Status.ACTIVE, None, timezone.now()
    try:
        with transaction.atomic():
            gone = Connection.objects.filter(pk=own.pk, status=Connection.Status.DISCONNECTED)
            if not gone.update(status=own.status, disconnected_at=None, connected_at=own.connected_at):
                raise AlreadyConnected()
            tell_of_return(own)
    except IntegrityError as error:
        raise clash(error) from None
    return own


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
