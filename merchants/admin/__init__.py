"""The registry in the admin. Connections are in `checkout.admin`: only checkout can open and close them."""

from merchants.admin.merchant import MerchantAdmin, MerchantKeyAdmin, SigningKeyAdmin
from merchants.admin.offer import CommissionTermsAdmin, OfferAdmin

__all__ = ["CommissionTermsAdmin", "MerchantAdmin", "MerchantKeyAdmin", "OfferAdmin", "SigningKeyAdmin"]
