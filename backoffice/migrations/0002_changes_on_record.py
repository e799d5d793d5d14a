from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("api", "0009_changes"),
        ("backoffice", "0001_roles"),
        ("inventory", "0010_counts_are_evidence"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
