"""Which connectors exist, and what each asks for to be connected. The sandbox is there only in sandbox mode."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings

from checkout.connectors.base import ConnectionRevoked, ConnectionSecrets, PaymentConnector
from checkout.connectors.hyperswitch.connector import HyperswitchConnector
from checkout.connectors.sandbox.connector import SandboxConnector
from checkout.connectors.stripe import connector as stripe
from merchants.models import Connection


@dataclass(frozen=True, slots=True)
class Ask:
    """Something to be typed. `begins` tells how it begins in test mode and in live mode, where the form can say so;
    where it cannot, the connector does."""

    name: str
    label: str
    help: str
    begins: tuple[str, str] = ("", "")
    is_secret: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """A connector and its onboarding. `account` names what its accounts are called; `tells_account` that its keys say
    whose they are, so that it need not be typed. `account_of` reads the account of an unverified delivery, where one
    address hears of all accounts. Without `webhook_secret` there is none to be given."""

    connector: type[PaymentConnector]
    label: str
    credentials: tuple[Ask, ...] = ()
    account: Ask | None = None
    tells_account: bool = True
    webhook_secret: Ask | None = None
    account_of: Callable[[bytes], str | None] | None = None


SANDBOX = Kind(SandboxConnector, "sandbox: a simulation, no real money")
STRIPE = Kind(
    stripe.StripeConnector,
    "Stripe",
    credentials=(Ask("api_key", "API key", "Stripe: a restricted key of the merchant's (rk_…)."),),
    account=Ask("account_id", "Account", "Stripe: may be left empty; else it must be the key's.", is_secret=False),
    webhook_secret=Ask("webhook_secret", "Webhook secret", "Stripe: of the endpoint, whsec_….", ("whsec_", "whsec_")),
    account_of=stripe.account_of,
)
HYPERSWITCH = Kind(
    HyperswitchConnector,
    "Hyperswitch",
    credentials=(
        Ask("api_key", "API key", "Hyperswitch: the merchant's key (snd_… or prod_…).", ("snd_", "prod_")),
        Ask("profile_id", "Profile", "Hyperswitch alone: the profile (pro_…).", ("pro_", "pro_"), is_secret=False),
    ),
    account=Ask("account_id", "Account", "Hyperswitch: the merchant id.", is_secret=False),
    tells_account=False,
    webhook_secret=Ask(
        "webhook_secret",
        "Webhook secret",
        "Hyperswitch: the profile's payment_response_hash_key.",
    ),
)
_REAL: Mapping[str, Kind] = {"stripe": STRIPE, "hyperswitch": HYPERSWITCH}


def kinds() -> Mapping[str, Kind]:
    """The connectors there are here, by name."""
    return {"sandbox": SANDBOX, **_REAL} if settings.RAKO_MODE == "sandbox" else _REAL


def is_known(kind: str) -> bool:
    """Whether there is a connector of that kind here."""
    return kind in kinds()


def connector_for(connection: Connection) -> PaymentConnector:
    """The connector of a connection, with its secrets decrypted. Raises ConnectionRevoked for an unknown kind."""
    if not is_known(connection.kind):
        raise ConnectionRevoked()
    return connector_with(
        connection.kind,
        ConnectionSecrets(
            connection_id=connection.pk,
            account_id=connection.account_id,
            is_live=connection.is_live,
            credentials=connection.credentials,
            webhook_secrets=connection.webhook_secrets,
        ),
    )


def connector_with(kind: str, secrets: ConnectionSecrets) -> PaymentConnector:
    """The connector of a known kind with the given secrets."""
    return kinds()[kind].connector(secrets)
