from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_manual_gateway")]

    operations = [
        migrations.AlterModelOptions(
            "payment", {"permissions": [("refund_payment", "Can give captured money back")]}
        ),
    ]
