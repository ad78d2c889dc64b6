from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are built beside running writers.
    atomic = False

    dependencies = [("sessions_app", "0002_guards")]

    operations = [
        migrations.AddField(
            "click",
            "is_flood",
            models.BooleanField(
                db_default=False, default=False, help_text="One of too many in an hour, by its visitor or on its link."
            ),
        ),
        AddIndexConcurrently("click", models.Index(fields=["recommendation", "slot"], name="click_of_link")),
        AddIndexConcurrently("click", models.Index(fields=["visitor", "slot"], name="click_of_visitor")),
    ]
