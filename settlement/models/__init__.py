"""Closed months: the commissions they took, the documents they made, and the payouts that follow."""

from settlement.models.batch import Batch, Line, Waiting
from settlement.models.documents import Counter, Invoice, MerchantPayment, Statement
from settlement.models.payouts import BankAccount, Payout, PayoutFile

__all__ = [
    "BankAccount",
    "Batch",
    "Counter",
    "Invoice",
    "Line",
    "MerchantPayment",
    "Payout",
    "PayoutFile",
    "Statement",
    "Waiting",
]
