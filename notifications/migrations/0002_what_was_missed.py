from django.db import migrations, models

# Before, an endpoint had one message per entry, and none of these.
_FORGET = """
DELETE FROM notifications_attempt WHERE message_id IN (
    SELECT id FROM notifications_message WHERE event_type IN ('conversions.settlement_pending', 'conversions.settled')
);
DELETE FROM notifications_message WHERE event_type IN ('conversions.settlement_pending', 'conversions.settled')
"""
_NEW, _OLD = "message_one_per_entry_and_type", "message_one_per_entry_alone"
_DROP = "DROP INDEX CONCURRENTLY IF EXISTS {}"  # what an attempt before left
_BUILD = "CREATE UNIQUE INDEX CONCURRENTLY {} ON notifications_message ({})"
# At once: there is no moment without either.
_SWAP = """
ALTER TABLE notifications_message DROP CONSTRAINT message_one_per_entry,
    ADD CONSTRAINT message_one_per_entry UNIQUE USING INDEX {}
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    # The index is built beside running workers.
    atomic = False

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(_DROP.format(_NEW), migrations.RunSQL.noop),
                migrations.RunSQL(_BUILD.format(_NEW, "endpoint_id, entry_id, event_type"), migrations.RunSQL.noop),
                migrations.RunSQL(_SWAP.format(_NEW), _SWAP.format(_OLD)),
                # Backwards from here.
                migrations.RunSQL(migrations.RunSQL.noop, _BUILD.format(_OLD, "endpoint_id, entry_id")),
                migrations.RunSQL(migrations.RunSQL.noop, _DROP.format(_OLD)),
                migrations.RunSQL(migrations.RunSQL.noop, _FORGET),
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="message", name="message_one_per_entry"),
                migrations.AddConstraint(
                    model_name="message",
                    constraint=models.UniqueConstraint(
                        fields=("endpoint", "entry_id", "event_type"), name="message_one_per_entry"
                    ),
                ),
            ],
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
    ]
