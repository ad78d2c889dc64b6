"""Settled months and their documents in the admin: to be read."""

from settlement.admin.batch import BatchAdmin
from settlement.admin.documents import InvoiceAdmin, StatementAdmin

__all__ = ["BatchAdmin", "InvoiceAdmin", "StatementAdmin"]
