from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("backoffice", "0017_saved_views"),
        ("inventory", "0029_checkpoints"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
