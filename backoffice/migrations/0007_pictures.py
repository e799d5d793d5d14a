from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("backoffice", "0006_who_may_see_costs"),
        ("inventory", "0018_pictures"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
