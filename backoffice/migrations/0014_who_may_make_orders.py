from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    grants_roles = True
    dependencies = [
        ("backoffice", "0013_sums_of_days"),
        ("orders", "0017_placed_at_the_desk"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: grant("orders.add_order"), migrations.RunPython.noop
        )
    ]
