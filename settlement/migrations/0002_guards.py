from django.db import migrations

from rako.core.append_only import guard

INVOICE = (
    "id, kind, number, batch_id, merchant_id, currency, line_count, net_minor, vat_rate, vat_minor, total_minor, "
    "seller, buyer, issued_on, due_on"
)
STATEMENT = (
    "id, number, batch_id, builder_id, currency, line_count, opening_minor, earned_minor, reversed_minor, paid_minor, "
    "closing_minor"
)
PAYOUT = "id, builder_id, batch_id, currency, amount_minor, created_at"


class Migration(migrations.Migration):
    """What a month's settlement says is never changed: only whether it is paid, and by which payout."""

    dependencies = [("settlement", "0001_initial"), ("ledger", "0002_guards")]

    operations = [
        guard("settlement_batch"),
        guard("settlement_line"),
        guard("settlement_waiting"),
        guard("settlement_merchantpayment"),
        guard("settlement_payoutfile"),
        guard("settlement_invoice", INVOICE),
        guard("settlement_statement", STATEMENT),
        guard("settlement_payout", PAYOUT),
    ]
