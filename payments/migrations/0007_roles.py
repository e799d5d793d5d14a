from django.db import migrations

from payments.roles import grant


class Migration(migrations.Migration):
    # A test looks for this: whatever brings a permission comes before one that grants it.
    grants_roles = True
    dependencies = [("payments", "0006_stripe")]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
