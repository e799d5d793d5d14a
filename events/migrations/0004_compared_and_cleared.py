"""The audit finds what it asks of an event in an index, and the outbox is cleared of what was told."""

from django.db import migrations, models

# The audit reads all of the feed by an index, if a vacuum has seen what came.
READ = "ALTER TABLE events_event SET (autovacuum_vacuum_insert_scale_factor = 0.02)"
READ_AS_OTHERS = "ALTER TABLE events_event RESET (autovacuum_vacuum_insert_scale_factor)"
# Each row of it lives for a moment: what is left of some thousand is more than is ever in it.
CLEARED = """
ALTER TABLE events_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
)
"""
AS_OTHERS = """
ALTER TABLE events_outbox RESET (
    autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay
)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0003_mail"),
    ]

    allowed = {
        "require-concurrent-index-creation": "The release that makes the table has this, too.",
        "require-concurrent-index-deletion": "The release that makes the table has this, too.",
    }

    operations = [
        migrations.RemoveIndex(model_name="event", name="events_by_subject"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                fields=["subject", "position"],
                include=("kind", "sequence"),
                name="events_by_subject",
            ),
        ),
        migrations.RunSQL(READ, READ_AS_OTHERS),
        migrations.RunSQL(CLEARED, AS_OTHERS),
    ]
