from django.db import migrations, models


class Migration(migrations.Migration):
    """Remember where the gateways of a shop were enabled; it says by itself what it is called."""

    dependencies = [("payments", "0009_so_are_those_there_were")]

    operations = [
        migrations.CreateModel(
            name="Installation",
            fields=[
                (
                    "id",
                    models.SmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.TextField(blank=True)),
                ("place", models.TextField()),
                ("accounts", models.JSONField(default=dict)),
                ("closed_at", models.DateTimeField(null=True)),
                ("closed_why", models.TextField(blank=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(
            """
            INSERT INTO payments_installation (id, name, place, accounts, closed_why)
            SELECT 1, '', oid::text || '/' || 'payments_installation'::regclass::oid::text, '{}', ''
            FROM pg_database
            WHERE datname = current_database()
                AND EXISTS (SELECT FROM payments_gateway WHERE enabled AND slug <> 'manual')
            """,
            migrations.RunSQL.noop,
        ),
    ]
