from django.db import migrations, models
from django.db.models import Q

import rako.core.encryption
from rako.core.append_only import guard, guard_sql

MOVES = """
CREATE FUNCTION settlement_check_payout_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_sent boolean := OLD.state = 'pending' AND NEW.state = 'submitted';
BEGIN
    IF NEW.state = OLD.state AND OLD.state = 'paid' OR NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('pending', 'submitted'), ('submitted', 'paid'), ('submitted', 'failed'), ('paid', 'failed'),
        ('failed', 'pending')
    ) THEN
        RAISE EXCEPTION 'a % payout cannot become %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    -- A file of its own for each attempt, and no other change of file: it is in one at a time.
    IF v_sent <> (NEW.file_id IS DISTINCT FROM OLD.file_id) OR NEW.attempts <> OLD.attempts + v_sent::int THEN
        RAISE EXCEPTION 'a payout is put into a new file when it is submitted, and only then'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settlement_payout_moves BEFORE UPDATE ON settlement_payout
    FOR EACH ROW EXECUTE FUNCTION settlement_check_payout_move();
ALTER TABLE settlement_payout ENABLE ALWAYS TRIGGER settlement_payout_moves;
"""
NO_MOVES = """
DROP TRIGGER settlement_payout_moves ON settlement_payout;
DROP FUNCTION settlement_check_payout_move();
"""
ONCE = """
CREATE TRIGGER settlement_invoice_paid_once BEFORE UPDATE OF paid_at ON settlement_invoice
    FOR EACH ROW WHEN (OLD.paid_at IS NOT NULL) EXECUTE FUNCTION rako_refuse_change();
CREATE TRIGGER settlement_statement_paid_once BEFORE UPDATE OF payout_id ON settlement_statement
    FOR EACH ROW WHEN (OLD.payout_id IS NOT NULL) EXECUTE FUNCTION rako_refuse_change();
ALTER TABLE settlement_invoice ENABLE ALWAYS TRIGGER settlement_invoice_paid_once;
ALTER TABLE settlement_statement ENABLE ALWAYS TRIGGER settlement_statement_paid_once;
"""
NO_ONCE = """
DROP TRIGGER settlement_invoice_paid_once ON settlement_invoice;
DROP TRIGGER settlement_statement_paid_once ON settlement_statement;
"""
UNGUARD = """
DROP TRIGGER settlement_payoutfile_no_change ON settlement_payoutfile;
DROP TRIGGER settlement_payoutfile_no_truncate ON settlement_payoutfile;
"""
# Its text is encrypted, and must follow when the keys are changed; its hash stays, and the ledger tells of it.
PAYOUT_FILE = "id, provider, currency, sha256, created_at"


class Migration(migrations.Migration):
    """Payouts move as they may, and in one file at a time; files are encrypted; what is paid is paid once."""

    dependencies = [("settlement", "0002_guards")]

    operations = [
        migrations.AlterModelOptions(
            name="payout",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("confirm_payout", "Can say what became of a payout"),
                    ("retry_payout", "Can have a failed payout made again"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="payoutfile",
            options={
                "ordering": ["-id"],
                "permissions": [("download_payoutfile", "Can download payment instructions")],
            },
        ),
        migrations.AlterField(
            model_name="payout",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "waits to be handed to the bank"),
                    ("submitted", "handed to the bank"),
                    ("paid", "paid by the bank"),
                    ("failed", "refused or sent back by the bank"),
                ],
                default="pending",
                max_length=9,
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=Q(state="pending") | Q(file__isnull=False, submitted_at__isnull=False, attempts__gte=1),
                name="payout_is_submitted_in_a_file",
            ),
        ),
        migrations.RunSQL(UNGUARD, guard_sql("settlement_payoutfile")),
        migrations.AlterField(
            model_name="payoutfile",
            name="content",
            field=rako.core.encryption.EncryptedJsonField(editable=False),
        ),
        guard("settlement_payoutfile", PAYOUT_FILE),
        migrations.RunSQL(MOVES, NO_MOVES),
        migrations.RunSQL(ONCE, NO_ONCE),
    ]
