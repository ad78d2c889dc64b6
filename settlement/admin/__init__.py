"""Settlement in the admin: payouts and their files, bank accounts, payments of merchants."""

from settlement.admin import bank_accounts, payments, payouts

__all__ = ["bank_accounts", "payments", "payouts"]
