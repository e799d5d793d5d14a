from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0002_call_counts")]

    operations = [
        migrations.CreateModel(
            name="StoreSettings",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("page_length", models.PositiveSmallIntegerField(default=25)),
                ("cart_expiry_days", models.PositiveSmallIntegerField(default=7)),
                ("defer_inventory_check", models.BooleanField(default=False)),
                ("show_all_carts", models.BooleanField(default=True)),
            ],
            options={
                "verbose_name_plural": "store settings",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="store_settings_one_row"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cart_expiry_days__range", (1, 365)),
                            ("page_length__range", (1, 100)),
                        ),
                        name="store_settings_within_limits",
                    ),
                ],
            },
        ),
    ]
