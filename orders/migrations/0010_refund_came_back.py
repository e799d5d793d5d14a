from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_work_lists"),
    ]

    operations = [
        migrations.AlterField(
            model_name="orderevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("shipped", "Shipped"),
                    ("ship_undone", "Ship undone"),
                    ("cancelled", "Cancelled"),
                    ("changed", "Changed"),
                    ("note", "Note"),
                    ("payment_settled_by_hand", "Payment settled by hand"),
                    ("money_came_late", "Money came late"),
                    ("authorization_lapsed", "Authorization lapsed"),
                    ("refund_came_back", "Refund came back"),
                ],
                max_length=32,
            ),
        ),
    ]
