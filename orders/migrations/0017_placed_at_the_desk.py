from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0016_orders_by_when_they_were_paid")]

    operations = [
        migrations.AlterField(
            model_name="orderevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("placed_at_the_desk", "Placed at the desk"),
                    ("shipped", "Shipped"),
                    ("ship_undone", "Ship undone"),
                    ("cancelled", "Cancelled"),
                    ("changed", "Changed"),
                    ("note", "Note"),
                    ("payment_checked", "Payment checked"),
                    ("payment_settled_by_hand", "Payment settled by hand"),
                    ("money_came_late", "Money came late"),
                    ("authorization_lapsed", "Authorization lapsed"),
                    ("refund_came_back", "Refund came back"),
                    ("left_be", "Left be"),
                ],
                max_length=32,
            ),
        ),
    ]
