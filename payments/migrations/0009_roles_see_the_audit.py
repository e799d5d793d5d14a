from django.db import migrations

from payments.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("orders", "0009_work_lists"),
        ("payments", "0008_what_needs_attention"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
