from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import IsNull

_REFERENCE = KeyTextTransform("payment_reference", "details")


class Migration(migrations.Migration):
    """Which reports name a payment, for the fraud signals; built beside running writers."""

    atomic = False

    dependencies = [("ledger", "0012_disputes")]

    operations = [
        AddIndexConcurrently(
            "evidence",
            models.Index(_REFERENCE, condition=Q(IsNull(_REFERENCE, False)), name="evidence_payment_reference"),
        )
    ]
