import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

import rako.core.ids
from rako.core.append_only import guard

NAMES = [
    ("install_scheduled", "Install Scheduled"),
    ("service_activated", "Service Activated"),
    ("first_bill_paid", "First Bill Paid"),
    ("approved", "Approved"),
    ("policy_started", "Policy Started"),
]


class Migration(migrations.Migration):
    """What merchants report of how a sale goes on."""

    dependencies = [("ledger", "0009_conversion_indexes")]

    operations = [
        migrations.CreateModel(
            "Milestone",
            fields=[
                ("id", rako.core.ids.UlidField(primary_key=True, serialize=False)),
                ("name", models.CharField(choices=NAMES, max_length=20)),
                ("reference", models.CharField(help_text="The merchant's own.", max_length=200)),
                ("occurred_at", models.DateTimeField()),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("sha256", models.CharField(help_text="Hex digest of what was reported.", max_length=64)),
                (
                    "conversion",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="milestones",
                        to="ledger.conversion",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("conversion", "name", "reference"), name="milestone_told_once"),
                    models.CheckConstraint(
                        condition=Q(name__in=[name for name, _ in NAMES]), name="milestone_name_is_known"
                    ),
                ],
            },
        ),
        guard("ledger_milestone"),
    ]
