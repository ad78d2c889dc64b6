from django.db import migrations

from rako.core.append_only import guard

# What a PSP sent is evidence; only the columns that tell how it was processed change.
RECEIVED = "id, connection_id, event_id, event_type, received_at, headers, body, sha256"


class Migration(migrations.Migration):
    dependencies = [("checkout", "0001_initial"), ("merchants", "0002_guards")]

    operations = [guard("checkout_webhookreceipt", RECEIVED), guard("checkout_pspobject")]
