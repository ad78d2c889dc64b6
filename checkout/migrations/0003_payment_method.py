from django.db import migrations

import rako.core.encryption


class Migration(migrations.Migration):
    dependencies = [
        ("checkout", "0002_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="checkout",
            name="payment_method",
            field=rako.core.encryption.EncryptedJsonField(editable=False, null=True),
        ),
    ]
