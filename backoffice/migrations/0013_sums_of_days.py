from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("backoffice", "0012_who_may_export_customers"),
    ]

    operations = [
        migrations.CreateModel(
            name="MoneyOfDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(db_index=True)),
                ("kind", models.CharField(max_length=9)),
                ("currency", models.CharField(max_length=3)),
                ("number", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="MovedOfDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(db_index=True)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("increment", "Increment"),
                            ("decrement", "Decrement"),
                            ("allocate", "Allocate"),
                            ("deallocate", "Deallocate"),
                        ],
                        max_length=10,
                    ),
                ),
                ("by_order", models.BooleanField()),
                ("reason", models.CharField(max_length=500)),
                ("entries", models.BigIntegerField()),
                ("units", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="OrderedOfDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(db_index=True)),
                ("product_id", models.UUIDField()),
                ("units", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SoldOfDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(db_index=True)),
                ("product_id", models.UUIDField(null=True)),
                ("currency", models.CharField(max_length=3)),
                ("orders", models.BigIntegerField()),
                ("units", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="AddedUp",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("zone", models.CharField(max_length=64)),
                ("since", models.DateField()),
                ("until", models.DateField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="added_up_one_row")
                ],
            },
        ),
    ]
