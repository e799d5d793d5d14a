from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    allowed = {"rows-in-batches": "As many rows as there are roles and permissions."}
    dependencies = [
        ("backoffice", "0019_who_may_see_events"),
        ("events", "0003_mail"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
