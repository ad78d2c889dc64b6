from django.db import migrations, models
from django.db.models import Q

ACCOUNTS = [
    ("merchant_accrued", "owed by the merchant once validated"),
    ("merchant_receivable", "owed by the merchant"),
    ("builder_pending", "owed to the builder once validated"),
    ("builder_payable", "owed to the builder"),
    ("builder_clawback_due", "owed by the builder: paid out, then reversed"),
    ("fee_pending", "the network's fee once validated"),
    ("fee_revenue", "the network's fee"),
    ("vat_payable", "VAT on the network's invoices"),
    ("bank_clearing", "money that moved through the bank"),
    ("bad_debt", "what nobody will pay any more"),
]
KINDS = [
    ("validation_started", "Validation Started"),
    ("validated", "Validated"),
    ("corrected", "Corrected"),
    ("refunded", "Refunded"),
    ("refund_failed", "Refund Failed"),
    ("cancelled", "Cancelled"),
    ("dispute_opened", "Dispute Opened"),
    ("dispute_won", "Dispute Won"),
    ("dispute_lost", "Dispute Lost"),
    ("held", "Held"),
    ("released", "Released"),
    ("fraud_found", "Fraud Found"),
    ("superseded", "Superseded"),
    ("reinstated", "Reinstated"),
]
UNIQUE = {"conversion_one_per_session": ["session"], "conversion_one_per_order": ["merchant", "order_reference"]}
COLUMNS = {"session": "session_id", "merchant": "merchant_id", "order_reference": "order_reference"}


def _live(name: str) -> migrations.SeparateDatabaseAndState:
    """A unique constraint that superseded conversions are exempt from: there first, before the old one goes."""
    columns = ", ".join(COLUMNS[field] for field in UNIQUE[name])
    condition = Q(is_superseded=False)
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                f"CREATE UNIQUE INDEX CONCURRENTLY {name}_live ON ledger_conversion ({columns}) "
                "WHERE NOT is_superseded",
                f"DROP INDEX CONCURRENTLY {name}_live",
            ),
            migrations.RunSQL(
                f"ALTER TABLE ledger_conversion DROP CONSTRAINT {name}; ALTER INDEX {name}_live RENAME TO {name};",
                f"ALTER INDEX {name} RENAME TO {name}_live; "
                f"ALTER TABLE ledger_conversion ADD CONSTRAINT {name} UNIQUE ({columns});",
            ),
        ],
        state_operations=[
            migrations.RemoveConstraint("conversion", name),
            migrations.AddConstraint(
                "conversion", models.UniqueConstraint(fields=UNIQUE[name], condition=condition, name=name)
            ),
        ],
    )


def _accounts(names: list[str]) -> str:
    """SQL that holds postings to these accounts, without a lock on the table while its rows are looked at."""
    allowed = ", ".join(f"'{name}'" for name in names)
    return (
        f"ALTER TABLE ledger_posting ADD CONSTRAINT posting_account_is_known_now CHECK (account IN ({allowed})) "
        "NOT VALID"
    )


_VALIDATE = "ALTER TABLE ledger_posting VALIDATE CONSTRAINT posting_account_is_known_now"
_REPLACE = (
    "ALTER TABLE ledger_posting DROP CONSTRAINT posting_account_is_known; "
    "ALTER TABLE ledger_posting RENAME CONSTRAINT posting_account_is_known_now TO posting_account_is_known;"
)
_NAMES = [name for name, _ in ACCOUNTS]
_BEFORE = [name for name in _NAMES if name != "vat_payable"]


class Migration(migrations.Migration):
    """Events that correct, hold, supersede and reinstate a sale; VAT; orders that pass to a path of higher priority."""

    # Indexes are built beside running writers.
    atomic = False

    dependencies = [("ledger", "0006_no_pattern_indexes"), ("sessions_app", "0002_guards")]

    operations = [
        migrations.AddField(
            "conversion",
            "is_held",
            models.BooleanField(db_default=False, default=False, help_text="Not settled for now: disputed or held."),
        ),
        migrations.AddField(
            "conversion",
            "is_superseded",
            models.BooleanField(db_default=False, default=False, help_text="A path of higher priority has the order."),
        ),
        migrations.AlterField("balance", "account", models.CharField(choices=ACCOUNTS, max_length=24)),
        migrations.AlterField("posting", "account", models.CharField(choices=ACCOUNTS, max_length=24)),
        migrations.AlterField(
            "event",
            "amount_minor",
            models.BigIntegerField(help_text="What was refunded, or the value it is corrected to.", null=True),
        ),
        migrations.AlterField("event", "kind", models.CharField(choices=KINDS, max_length=20)),
        *(_live(name) for name in UNIQUE),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(_accounts(_NAMES), _REPLACE),
                migrations.RunSQL(_VALIDATE, _VALIDATE),
                migrations.RunSQL(_REPLACE, _accounts(_BEFORE)),
            ],
            state_operations=[
                migrations.RemoveConstraint("posting", "posting_account_is_known"),
                migrations.AddConstraint(
                    "posting", models.CheckConstraint(condition=Q(account__in=_NAMES), name="posting_account_is_known")
                ),
            ],
        ),
    ]
