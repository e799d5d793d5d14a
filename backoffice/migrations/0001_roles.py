from django.db import migrations

from backoffice.roles import grant


class Migration(migrations.Migration):
    # A test looks for this: whatever brings a permission comes before one that grants it.
    grants_roles = True
    # It makes the permissions of all models that there are, and so comes after them.
    dependencies = [
        ("api", "0006_order_expiry"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("inventory", "0009_stock_state"),
        ("orders", "0010_left_be"),
        ("payments", "0005_what_needs_attention"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
