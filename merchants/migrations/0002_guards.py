from django.db import migrations

from rako.core.append_only import guard, refusal_function

# Terms always carry the vertical of their offer, so that the floor's CHECK can be one condition on one row.
SAME_VERTICAL = """
ALTER TABLE merchants_commissionterms ADD CONSTRAINT terms_of_the_offers_vertical
    FOREIGN KEY (offer_id, vertical) REFERENCES merchants_offer (id, vertical)
"""


# The names that offers carry; see merchants.models.Provider.
PROVIDERS = """
CREATE FUNCTION merchants_note_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO merchants_provider (name) VALUES (NEW.provider) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER merchants_offer_note_provider AFTER INSERT OR UPDATE OF provider ON merchants_offer
    FOR EACH ROW EXECUTE FUNCTION merchants_note_provider();
"""
NO_PROVIDERS = """
DROP TRIGGER merchants_offer_note_provider ON merchants_offer;
DROP FUNCTION merchants_note_provider();
"""


class Migration(migrations.Migration):
    dependencies = [("merchants", "0001_initial")]

    operations = [
        refusal_function(),
        migrations.RunSQL(PROVIDERS, NO_PROVIDERS),
        guard("merchants_commissionterms"),
        guard("merchants_signingkey", "key_id, public_key, valid_from"),
        migrations.RunSQL(
            SAME_VERTICAL,
            "ALTER TABLE merchants_commissionterms DROP CONSTRAINT terms_of_the_offers_vertical",
        ),
    ]
