from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    allowed = {"rows-in-batches": "As many rows as there are roles and permissions."}
    dependencies = [
        ("backoffice", "0018_checkpoints"),
        ("events", "0001_feed_and_integrations"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
