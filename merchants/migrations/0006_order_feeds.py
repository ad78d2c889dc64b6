import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import rako.core.encryption


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0005_rate_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="OrderFeed",
            fields=[
                (
                    "merchant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="order_feed",
                        serialize=False,
                        to="merchants.merchant",
                    ),
                ),
                (
                    "secrets",
                    rako.core.encryption.EncryptedJsonField(
                        editable=False, help_text="Newest first; two while one is rotated."
                    ),
                ),
                (
                    "issued_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, help_text="When the newest was."
                    ),
                ),
            ],
        ),
    ]
