from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0003_click_floods"),
    ]

    operations = [
        migrations.AddField(
            model_name="builder",
            name="fraud_found_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="When staff last confirmed that a sale of theirs was fraud.",
                null=True,
            ),
        ),
    ]
