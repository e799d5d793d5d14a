from django.db import migrations

from payments.roles import grant


class Migration(migrations.Migration):
    # A test looks for this: whatever brings a permission comes before one that grants it.
    grants_roles = True
    # It makes the permissions of all models that there are, and so comes after them.
    dependencies = [
        ("api", "0004_low_stock_threshold"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("inventory", "0005_low_stock_threshold"),
        ("orders", "0005_what_comes_back"),
        ("payments", "0003_refund_permission"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: grant(), migrations.RunPython.noop)
    ]
