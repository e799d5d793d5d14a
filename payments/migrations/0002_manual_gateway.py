from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "INSERT INTO payments_gateway (slug, name, enabled) VALUES ('manual', 'Manual', false)",
            migrations.RunSQL.noop,
        )
    ]
