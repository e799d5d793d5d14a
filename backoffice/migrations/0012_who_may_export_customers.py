from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("backoffice", "0011_stocktakes"),
        ("orders", "0014_who_may_export_customers"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
