import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import rako.core.ids
from rako.core.append_only import guard

# All of a dispute but what its moves change: conversion, state, due_at, decision and what belongs to it, ended_at.
DISPUTE = (
    "id, kind, opened_by, merchant_id, agent_id, recommendation_id, currency, claimed_value_minor, order_reference, "
    "sold_at, opened_at"
)
# All of a hold but how it ends.
HOLD = "id, conversion_id, rule, measured, threshold, placed_at"


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0011_paths"),
        ("merchants", "0004_commercial_terms"),
        ("sessions_app", "0004_fraud_flag"),
    ]

    operations = [
        migrations.CreateModel(
            name="Dispute",
            fields=[
                ("id", rako.core.ids.UlidField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("missing_sale", "Missing Sale"),
                            ("wrong_amount", "Wrong Amount"),
                            ("refused_conversion", "Refused Conversion"),
                            ("clawback", "Clawback"),
                            ("merchant_dispute", "Merchant Dispute"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "opened_by",
                    models.CharField(choices=[("merchant", "merchant"), ("builder", "builder")], max_length=8),
                ),
                ("currency", models.CharField(max_length=3)),
                (
                    "claimed_value_minor",
                    models.BigIntegerField(blank=True, help_text="The sale's value as claimed.", null=True),
                ),
                (
                    "order_reference",
                    models.CharField(blank=True, help_text="Of a missing sale, if it is known.", max_length=200),
                ),
                (
                    "sold_at",
                    models.DateTimeField(
                        blank=True, help_text="When the missing sale is said to have happened.", null=True
                    ),
                ),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("awaiting_merchant", "Awaiting Merchant"),
                            ("awaiting_builder", "Awaiting Builder"),
                            ("under_review", "Under Review"),
                            ("decided", "Decided"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="open",
                        max_length=17,
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        blank=True, help_text="Until when it waits for whoever comes next.", null=True
                    ),
                ),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        choices=[("upheld", "Upheld"), ("partly", "Partly"), ("rejected", "Rejected")],
                        max_length=8,
                    ),
                ),
                ("decided_value_minor", models.BigIntegerField(blank=True, null=True)),
                (
                    "decided_by",
                    models.CharField(
                        blank=True,
                        choices=[("merchant", "Merchant"), ("builder", "Builder"), ("staff", "Staff")],
                        help_text="Staff, or the side that conceded.",
                        max_length=8,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("decide_dispute", "Can decide disputes")],
            },
        ),
        migrations.CreateModel(
            name="DisputeStatement",
            fields=[
                ("id", rako.core.ids.UlidField(primary_key=True, serialize=False)),
                ("kind", models.CharField(choices=[("message", "Message"), ("evidence", "Evidence")], max_length=8)),
                ("side", models.CharField(choices=[("merchant", "merchant"), ("builder", "builder")], max_length=8)),
                ("description", models.CharField(blank=True, help_text="What the evidence is.", max_length=1000)),
                ("text", models.TextField(blank=True)),
                (
                    "sha256",
                    models.CharField(
                        blank=True, help_text="Hex digest of a document that the side holds.", max_length=64
                    ),
                ),
                ("salt", models.CharField(editable=False, max_length=32)),
                ("said_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="FraudHold",
            fields=[
                ("id", rako.core.ids.UlidField(primary_key=True, serialize=False)),
                ("rule", models.CharField(max_length=20)),
                ("measured", models.BigIntegerField()),
                ("threshold", models.BigIntegerField(help_text="The most that is not suspicious.")),
                ("placed_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("released", "Released"), ("confirmed", "Confirmed")],
                        default="open",
                        max_length=9,
                    ),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, help_text="Why it was released or confirmed.", max_length=300)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("review_fraudhold", "Can release and confirm holds")],
            },
        ),
        migrations.AlterField(
            model_name="evidence",
            name="source",
            field=models.CharField(
                choices=[("psp_event", "Psp Event"), ("merchant_report", "Merchant Report"), ("decision", "Decision")],
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="agent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="sessions_app.agent"
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="conversion",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="disputes",
                to="ledger.conversion",
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="merchant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="merchants.merchant"
            ),
        ),
        migrations.AddField(
            model_name="dispute",
            name="recommendation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="disputes", to="sessions_app.recommendation"
            ),
        ),
        migrations.AddField(
            model_name="disputestatement",
            name="dispute",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="statements", to="ledger.dispute"
            ),
        ),
        migrations.AddField(
            model_name="fraudhold",
            name="conversion",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="fraud_holds", to="ledger.conversion"
            ),
        ),
        migrations.AddIndex(
            model_name="dispute",
            index=models.Index(fields=["merchant", "-id"], name="dispute_of_merchant"),
        ),
        migrations.AddIndex(
            model_name="dispute",
            index=models.Index(fields=["agent", "-id"], name="dispute_of_agent"),
        ),
        migrations.AddIndex(
            model_name="dispute",
            index=models.Index(
                condition=models.Q(("state__in", ["decided", "withdrawn"]), _negated=True),
                fields=["due_at"],
                name="dispute_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["decided", "withdrawn"]), _negated=True),
                fields=("recommendation",),
                name="dispute_one_open_per_recommendation",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "withdrawn"), _negated=True),
                fields=("recommendation", "kind", "opened_by"),
                name="dispute_decided_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(("conversion__isnull", False), ("kind", "missing_sale"), _connector="OR"),
                name="dispute_is_about_a_sale",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ("wrong_amount", "missing_sale")), _negated=True),
                    ("claimed_value_minor__isnull", False),
                    _connector="OR",
                ),
                name="dispute_names_the_value",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("claimed_value_minor", None),
                        ("claimed_value_minor__range", (0, 1000000000000)),
                        _connector="OR",
                    ),
                    models.Q(
                        ("decided_value_minor", None),
                        ("decided_value_minor__range", (0, 1000000000000)),
                        _connector="OR",
                    ),
                ),
                name="dispute_values_are_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__in", ["GBP", "EUR", "USD"])), name="dispute_currency_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("due_at", None),
                        ("ended_at__isnull", False),
                        ("state", "decided"),
                        models.Q(("decision", ""), _negated=True),
                        models.Q(("decided_by", ""), _negated=True),
                    ),
                    models.Q(
                        ("decided_by", ""),
                        ("decision", ""),
                        ("due_at", None),
                        ("ended_at__isnull", False),
                        ("state", "withdrawn"),
                    ),
                    models.Q(
                        models.Q(("state__in", ["decided", "withdrawn"]), _negated=True),
                        ("decided_by", ""),
                        ("decision", ""),
                        ("due_at__isnull", False),
                        ("ended_at", None),
                    ),
                    _connector="OR",
                ),
                name="dispute_ends_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="dispute",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_at", None), ("ended_at__gte", models.F("opened_at")), _connector="OR"),
                name="dispute_ends_after_it_began",
            ),
        ),
        migrations.AddConstraint(
            model_name="disputestatement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("description", ""), ("kind", "message"), ("sha256", ""), models.Q(("text", ""), _negated=True)
                    ),
                    models.Q(
                        ("kind", "evidence"),
                        models.Q(("description", ""), _negated=True),
                        models.Q(("sha256", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="dispute_statement_says_something",
            ),
        ),
        migrations.AddIndex(
            model_name="fraudhold",
            index=models.Index(condition=models.Q(("state", "open")), fields=["placed_at"], name="hold_open"),
        ),
        migrations.AddConstraint(
            model_name="fraudhold",
            constraint=models.UniqueConstraint(fields=("conversion", "rule"), name="hold_once_by_a_rule"),
        ),
        migrations.AddConstraint(
            model_name="fraudhold",
            constraint=models.CheckConstraint(
                condition=models.Q(("measured__gt", models.F("threshold"))), name="hold_is_beyond_its_threshold"
            ),
        ),
        migrations.AddConstraint(
            model_name="fraudhold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("state", "open")),
                    models.Q(("ended_at__isnull", False), ("state__in", ["released", "confirmed"])),
                    _connector="OR",
                ),
                name="hold_ends_once",
            ),
        ),
        guard("ledger_dispute", DISPUTE),
        guard("ledger_disputestatement"),
        guard("ledger_fraudhold", HOLD),
    ]
