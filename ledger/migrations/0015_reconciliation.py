"""A merchant's own records are evidence of their own kind, beside its reports."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0014_what_is_left")]

    operations = [
        migrations.AlterField(
            model_name="evidence",
            name="source",
            field=models.CharField(
                choices=[
                    ("psp_event", "Psp Event"),
                    ("merchant_report", "Merchant Report"),
                    ("decision", "Decision"),
                    ("reconciliation", "Reconciliation"),
                ],
                max_length=20,
            ),
        ),
    ]
