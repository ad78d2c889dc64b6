import django.utils.timezone
from django.db import migrations, models

from rako.core.append_only import guard


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0005_rate_limits"),
        ("merchants", "0002_guards"),
    ]

    operations = [
        migrations.CreateModel(
            name="AttributionKey",
            fields=[
                (
                    "key_id",
                    models.CharField(editable=False, max_length=16, primary_key=True, serialize=False),
                ),
                (
                    "public_key",
                    models.CharField(editable=False, help_text="32 bytes as base64url.", max_length=43),
                ),
                ("first_used_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={"abstract": False, "base_manager_name": "objects"},
        ),
        guard("sessions_app_attributionkey"),
    ]
