from django.db import migrations

from payments.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [("inventory", "0006_count_files"), ("payments", "0004_roles")]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
