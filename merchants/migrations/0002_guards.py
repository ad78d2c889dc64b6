from django.db import migrations

from rako.core.append_only import guard, refusal_function

# Terms always carry the vertical of their offer, so that the floor's CHECK can be one condition on one row.
SAME_VERTICAL = """
ALTER TABLE merchants_commissionterms ADD CONSTRAINT terms_of_the_offers_vertical
    FOREIGN KEY (offer_id, vertical) REFERENCES merchants_offer (id, vertical)
"""


class Migration(migrations.Migration):
    dependencies = [("merchants", "0001_initial")]

    operations = [
        refusal_function(),
        guard("merchants_commissionterms"),
        guard("merchants_signingkey", "key_id, public_key, valid_from"),
        migrations.RunSQL(
            SAME_VERTICAL,
            "ALTER TABLE merchants_commissionterms DROP CONSTRAINT terms_of_the_offers_vertical",
        ),
    ]
