"""How far the looks at sales for fraud signals have come."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0015_reconciliation")]

    operations = [
        migrations.CreateModel(
            name="FraudLook",
            fields=[
                (
                    "days",
                    models.PositiveSmallIntegerField(
                        help_text="How old the sales are that it looks at.", primary_key=True, serialize=False
                    ),
                ),
                ("last_id", models.CharField(max_length=26)),
            ],
        ),
    ]
