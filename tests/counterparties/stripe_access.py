"""Who may call Stripe for whom: accounts, API keys and their permissions, and Connect's OAuth."""

import base64
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tests.counterparties import stripe_errors as errors
from tests.counterparties.stripe_bridge import World
from tests.counterparties.stripe_errors import ControlError, OAuthRefusal

PLATFORM = "acct_platform"
CODE_LIFETIME = 300
# What a restricted key needs for a path, without `_read` or `_write`; refunds belong to charges.
PERMISSIONS = {
    "account": "accounts_kyc_basic",
    "accounts": "accounts_kyc_basic",
    "balance_transactions": "balance_transaction_source",
    "charges": "charge",
    "checkout": "checkout_session",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "refunds": "charge",
    "webhook_endpoints": "webhook",
}


@dataclass
class Key:
    """An API key. `missing` names the permissions it lacks, as in `rak_charge_read`."""

    secret: str
    account: str
    live: bool
    missing: set[str] = field(default_factory=set)
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request: whose key, and in which account and mode it acts."""

    key: Key
    world: World


@dataclass
class Grant:
    """An OAuth code, and the token given for it."""

    account: str
    created: float
    token: str = ""


class Access:
    """Every account, key and connection there is."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, Key] = {}
        self.connected: set[str] = set()
        self.client_id = f"ca_{secrets.token_hex(16)}"
        self._grants: dict[str, Grant] = {}
        self.open_account(PLATFORM)

    def open_account(self, account: str, **fields: Any) -> None:
        """Make an account; `fields` are those of Stripe's account object."""
        name = fields.pop("name", "A shop")
        self.accounts[account] = {
            "id": account,
            "object": "account",
            "business_profile": {"name": name, "url": None, "mcc": None, "support_email": None},
            "charges_enabled": True,
            "controller": {"type": "account"},
            "country": "GB",
            "created": int(time.time()),
            "default_currency": "gbp",
            "details_submitted": True,
            "email": "owner@example.com",
            "metadata": {},
            "payouts_enabled": True,
            "type": "standard",
        } | fields

    def issue_key(self, account: str, *, live: bool, restricted: bool, missing: set[str]) -> str:
        """A new key of an account, which is spelt in it."""
        kind = f"{'rk' if restricted else 'sk'}_{'live' if live else 'test'}"
        secret = f"{kind}_{account}_{secrets.token_hex(12)}"
        self.keys[secret] = Key(secret, account, live, missing)
        return secret

    def caller(self, authorization: str, account: str | None, method: str, path: str) -> Caller:
        """Whose request this is. Raises Refusal 401 for a bad key and 403 for what the key may not do."""
        key = self._key(authorization)
        named = account or key.account
        if named != key.account and not (key.account == PLATFORM and named in self.connected):
            raise errors.no_access(key.secret, named)
        permission = _permission(method, path)
        if permission in key.missing:
            raise errors.no_permission(key.secret, named, permission)
        return Caller(key, World(named, key.live))

    def show_account(self, caller: Caller, account: str) -> dict[str, Any]:
        """The account object. Raises Refusal 403 for an account that the caller does not reach."""
        reached = {caller.world.account} | (self.connected if caller.key.account == PLATFORM else set())
        if account not in reached:
            raise errors.no_access(caller.key.secret, account)
        return self.accounts[account]

    def authorize(self, account: str) -> str:
        """The merchant says yes to the platform: the code that comes back to the redirect address."""
        if account not in self.accounts:
            raise ControlError(f"there is no account {account}")
        code = f"ac_{secrets.token_urlsafe(24)}"
        self._grants[code] = Grant(account, time.time())
        return code

    def token(self, authorization: str, form: dict[str, Any]) -> dict[str, Any]:
        """`POST /oauth/token`: a code for an account, once. Raises OAuthRefusal."""
        key = self._platform_key(authorization, form)
        if form.get("grant_type") != "authorization_code":
            raise OAuthRefusal(400, "unsupported_grant_type", f"unsupported grant type: {form.get('grant_type')}")
        if not form.get("code"):
            raise OAuthRefusal(400, "invalid_request", "No authorization code provided")
        grant = self._grants.get(form["code"])
        if grant is None:
            raise OAuthRefusal(400, "invalid_grant", f"Authorization code does not exist: {form['code']}")
        if grant.token:
            self.keys[grant.token].is_revoked = True
            said = "This authorization code has already been used. All tokens issued with this code have been revoked."
            raise OAuthRefusal(400, "invalid_grant", said)
        if time.time() > grant.created + CODE_LIFETIME:
            raise OAuthRefusal(400, "invalid_grant", f"Authorization code expired: {form['code']}")
        grant.token = self.issue_key(grant.account, live=key.live, restricted=False, missing=set())
        self.connected.add(grant.account)
        return {
            "access_token": grant.token,
            "livemode": key.live,
            "refresh_token": f"rt_{secrets.token_hex(16)}",
            "scope": "read_write",
            "stripe_publishable_key": grant.token.replace("sk_", "pk_", 1),
            "stripe_user_id": grant.account,
            "token_type": "bearer",
        }

    def deauthorize(self, authorization: str, form: dict[str, Any]) -> tuple[World, dict[str, Any]]:
        """`POST /oauth/deauthorize`: the world that was left, and the answer. Raises OAuthRefusal."""
        key = self._platform_key(authorization, form)
        account = str(form.get("stripe_user_id"))
        if form.get("client_id") != self.client_id:
            raise OAuthRefusal(401, "invalid_client", f"No such application: '{form.get('client_id')}'")
        if account not in self.connected:
            said = f"This application is not connected to stripe account {account}, or that account does not exist."
            raise OAuthRefusal(401, "invalid_client", said)
        self.connected.discard(account)
        return World(account, key.live), {"stripe_user_id": account}

    def _platform_key(self, authorization: str, form: dict[str, Any]) -> Key:
        key = self.keys.get(_sent_key(authorization) or str(form.get("client_secret", "")))
        if key is None or key.is_revoked or key.account != PLATFORM:
            raise OAuthRefusal(401, "invalid_client", "No such API key")
        return key

    def _key(self, authorization: str) -> Key:
        secret = _sent_key(authorization)
        if not secret:
            raise errors.no_key()
        if secret not in self.keys:
            raise errors.unknown_key(secret)
        if self.keys[secret].is_revoked:
            raise errors.expired_key(secret)
        return self.keys[secret]


def _sent_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        return base64.b64decode(value + "==").decode(errors="replace").partition(":")[0]
    return value.strip()


def _permission(method: str, path: str) -> str:
    found = re.match(r"/v1/([a-z_]+)", path)
    resource = PERMISSIONS.get(found[1], found[1]) if found else ""
    return f"rak_{resource}_{'read' if method == 'GET' else 'write'}"
