from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0004_commercial_terms"),
    ]

    operations = [
        migrations.AddField(
            model_name="merchantkey",
            name="rate_limit",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Of the enterprise tier only; empty: no limit.",
                null=True,
                verbose_name="requests a minute",
            ),
        ),
        migrations.AddField(
            model_name="merchantkey",
            name="tier",
            field=models.CharField(
                choices=[("standard", "Standard"), ("growth", "Growth"), ("enterprise", "Enterprise")],
                db_default="standard",
                default="standard",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="merchantkey",
            constraint=models.CheckConstraint(
                condition=models.Q(("tier__in", ["standard", "growth", "enterprise"])), name="merchantkey_tier_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="merchantkey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("rate_limit", None), models.Q(("rate_limit__gte", 1), ("tier", "enterprise")), _connector="OR"
                ),
                name="merchantkey_own_limit_is_enterprise",
            ),
        ),
    ]
