"""Hyperswitch, the open payment orchestrator: hosted payment links, stored methods, signed webhooks.

The merchant's own processors stand behind it; here it is one PSP. Payments are made under ids that we choose, which
is all the idempotency there is: a repeated id is refused, looked at, and compared.
"""
