from django.db import migrations, models

# Before, an endpoint had one message per entry, and none of these.
_FORGET = """
DELETE FROM notifications_attempt WHERE message_id IN (
    SELECT id FROM notifications_message WHERE event_type IN ('conversions.settlement_pending', 'conversions.settled')
);
DELETE FROM notifications_message WHERE event_type IN ('conversions.settlement_pending', 'conversions.settled');
-- Or else its constraints are looked at only after the table is to be changed.
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [
        migrations.RemoveConstraint(model_name="message", name="message_one_per_entry"),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("endpoint", "entry_id", "event_type"), name="message_one_per_entry"
            ),
        ),
        migrations.AddField(
            model_name="endpoint",
            name="missed_index",
            field=models.BigIntegerField(blank=True, help_text="From there on the log was not read for it.", null=True),
        ),
        migrations.AddField(
            model_name="endpoint",
            name="missed_since",
            field=models.DateTimeField(blank=True, help_text="What was recorded before is not queued.", null=True),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, _FORGET),
    ]
