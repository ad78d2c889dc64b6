import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Proofs of one merchant no longer lock its row; the conversion's own constraint holds the merchant there."""

    dependencies = [("ledger", "0003_statement_guards"), ("merchants", "0002_guards")]

    operations = [
        migrations.AlterField(
            "evidence",
            "merchant",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.merchant",
            ),
        ),
    ]
