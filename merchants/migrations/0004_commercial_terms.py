from decimal import Decimal

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0003_onboarding"),
    ]

    operations = [
        migrations.AddField(
            model_name="merchant",
            name="accepts_extension",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Pays for sales that a browser extension brought, by its own report.",
            ),
        ),
        migrations.AddField(
            model_name="merchant",
            name="accepts_influence",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Pays for sales that an answer influenced, by its own report.",
            ),
        ),
        migrations.AddField(
            model_name="merchant",
            name="billing_address",
            field=models.TextField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="merchant",
            name="billing_country",
            field=models.CharField(blank=True, help_text="ISO 3166-1 alpha-2, such as GB.", max_length=2),
        ),
        migrations.AddField(
            model_name="merchant",
            name="legal_name",
            field=models.CharField(
                blank=True, help_text="As it stands on invoices; the name, if empty.", max_length=200
            ),
        ),
        migrations.AddField(
            model_name="merchant",
            name="refunds_reverse_cpa",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="A part refund takes its share of fixed commissions, too; otherwise only a full one does.",
                verbose_name="part refunds reverse the CPA",
            ),
        ),
        migrations.AddField(
            model_name="merchant",
            name="vat_number",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AddField(
            model_name="merchant",
            name="vat_rate",
            field=models.DecimalField(
                db_default=Decimal("0"),
                decimal_places=4,
                default=Decimal("0"),
                help_text="VAT on the invoices it gets: 0.2 is 20 %; none for reverse charge.",
                max_digits=5,
            ),
        ),
        migrations.AddConstraint(
            model_name="merchant",
            constraint=models.CheckConstraint(
                condition=models.Q(("vat_rate__gte", 0), ("vat_rate__lt", 1)), name="merchant_vat_is_a_share"
            ),
        ),
    ]
