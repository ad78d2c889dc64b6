"""Settlement in the admin: months and their documents to be read; payouts, bank accounts, payments of merchants."""

from settlement.admin import bank_accounts, payments, payouts
from settlement.admin.batch import BatchAdmin
from settlement.admin.documents import InvoiceAdmin, StatementAdmin

__all__ = ["BatchAdmin", "InvoiceAdmin", "StatementAdmin", "bank_accounts", "payments", "payouts"]
