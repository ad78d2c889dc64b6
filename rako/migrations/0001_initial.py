from django.db import migrations, models

import rako.core.encryption

# What is counted needs no write-ahead log. Rows are updated in place: pages have room for their next versions.
UNLOGGED = "ALTER TABLE rako_ratewindow SET UNLOGGED, SET (fillfactor = 50)"


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RateWindow",
            fields=[
                ("key_id", models.CharField(db_collation="C", max_length=26, primary_key=True, serialize=False)),
                ("ends_at", models.BigIntegerField(help_text="Unix seconds.")),
                ("used", models.IntegerField()),
            ],
        ),
        migrations.RunSQL(UNLOGGED, "ALTER TABLE rako_ratewindow SET LOGGED, RESET (fillfactor)"),
        migrations.CreateModel(
            name="IdempotentReply",
            fields=[
                (
                    "scope",
                    models.BinaryField(
                        help_text="A hash of party, path and key.", max_length=32, primary_key=True, serialize=False
                    ),
                ),
                ("body_sha256", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField(db_index=True)),
                ("claimed_until", models.DateTimeField(null=True)),
                ("reply", rako.core.encryption.SealedField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("claimed_until", None), ("reply__isnull", False)),
                            models.Q(("claimed_until__isnull", False), ("reply", None)),
                            _connector="OR",
                        ),
                        name="idempotent_is_claimed_or_answered",
                    )
                ],
            },
        ),
    ]
