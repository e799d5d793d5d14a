from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0013_kept_with_carts_and_orders")]

    operations = [
        migrations.AlterModelOptions(
            "order",
            {
                "permissions": [
                    ("export_customers", "Can export customers' names, addresses and e-mails"),
                    ("undo_ship_order", "Can undo the shipping of an order"),
                ]
            },
        ),
    ]
