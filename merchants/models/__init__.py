"""The registry: who sells what, on which terms, through which payment processor."""

from merchants.models.connection import Connection, OAuthState
from merchants.models.merchant import Merchant, MerchantKey
from merchants.models.offer import CommissionTerms, Offer
from merchants.models.order_feed import OrderFeed
from merchants.models.provider import Provider
from merchants.models.signing_key import SigningKey

__all__ = [
    "CommissionTerms",
    "Connection",
    "Merchant",
    "MerchantKey",
    "OAuthState",
    "Offer",
    "OrderFeed",
    "Provider",
    "SigningKey",
]
