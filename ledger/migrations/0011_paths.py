from django.db import migrations, models
from django.db.models import Q

from rako.core.append_only import guard_sql

PATHS = [
    ("aap_flow", "Aap Flow"),
    ("tracked_link", "Tracked Link"),
    ("extension", "Extension"),
    ("influence", "Influence"),
]
# All of an event but the conversion that it finds.
_EVENT = "id, merchant_id, kind, sale_reference, reference, amount_minor, reason, occurred_at, received_at, sha256"
_NO_GUARD = (
    "DROP TRIGGER ledger_event_no_change ON ledger_event; DROP TRIGGER ledger_event_no_truncate ON ledger_event;"
)


class Migration(migrations.Migration):
    """An order is attributed once by each path; events that a superseded conversion hands on to its successor."""

    # Indexes are built beside running writers.
    atomic = False

    dependencies = [("ledger", "0010_milestones"), ("sessions_app", "0003_click_floods")]

    operations = [
        migrations.AddField(
            "evidence",
            "path",
            models.CharField(choices=PATHS, db_default="aap_flow", default="aap_flow", max_length=12),
        ),
        migrations.AddField(
            "event",
            "is_inherited",
            models.BooleanField(
                db_default=False, default=False, help_text="It was told of the conversion that this one superseded."
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY evidence_attributed_once_now "
                    "ON ledger_evidence (merchant_id, source, path, reference)",
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    "ALTER TABLE ledger_evidence DROP CONSTRAINT evidence_attributed_once; "
                    "ALTER TABLE ledger_evidence ADD CONSTRAINT evidence_attributed_once "
                    "UNIQUE USING INDEX evidence_attributed_once_now;",
                    "ALTER TABLE ledger_evidence DROP CONSTRAINT evidence_attributed_once; "
                    "ALTER TABLE ledger_evidence ADD CONSTRAINT evidence_attributed_once "
                    "UNIQUE USING INDEX evidence_attributed_once_before;",
                ),
                # Backwards only: what the key was before.
                migrations.RunSQL(
                    migrations.RunSQL.noop,
                    "CREATE UNIQUE INDEX CONCURRENTLY evidence_attributed_once_before "
                    "ON ledger_evidence (merchant_id, source, reference)",
                ),
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY event_told_once_now "
                    "ON ledger_event (merchant_id, kind, reference) WHERE NOT is_inherited",
                    "DROP INDEX CONCURRENTLY event_told_once_now",
                ),
                migrations.RunSQL(
                    "ALTER TABLE ledger_event DROP CONSTRAINT event_told_once; "
                    "ALTER INDEX event_told_once_now RENAME TO event_told_once;",
                    "ALTER INDEX event_told_once RENAME TO event_told_once_now; "
                    "ALTER TABLE ledger_event ADD CONSTRAINT event_told_once UNIQUE (merchant_id, kind, reference);",
                ),
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY event_inherited_once "
                    "ON ledger_event (conversion_id, kind, reference) WHERE is_inherited",
                    "DROP INDEX CONCURRENTLY event_inherited_once",
                ),
            ],
            state_operations=[
                migrations.RemoveConstraint("evidence", "evidence_attributed_once"),
                migrations.AddConstraint(
                    "evidence",
                    models.UniqueConstraint(
                        fields=["merchant", "source", "path", "reference"], name="evidence_attributed_once"
                    ),
                ),
                migrations.RemoveConstraint("event", "event_told_once"),
                migrations.AddConstraint(
                    "event",
                    models.UniqueConstraint(
                        condition=Q(is_inherited=False),
                        fields=["merchant", "kind", "reference"],
                        name="event_told_once",
                    ),
                ),
                migrations.AddConstraint(
                    "event",
                    models.UniqueConstraint(
                        condition=Q(is_inherited=True),
                        fields=["conversion", "kind", "reference"],
                        name="event_inherited_once",
                    ),
                ),
            ],
        ),
        # The guard learns of the new column.
        migrations.RunSQL(
            _NO_GUARD + guard_sql("ledger_event", f"{_EVENT}, is_inherited"),
            _NO_GUARD + guard_sql("ledger_event", _EVENT),
        ),
    ]
