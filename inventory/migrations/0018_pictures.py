"""Pictures that people upload, and which product shows which."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Upper

import api.ids


class Migration(migrations.Migration):
    dependencies = [("inventory", "0017_cost")]

    operations = [
        migrations.CreateModel(
            name="Picture",
            fields=[
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=200)),
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("sha256", models.CharField(max_length=64, unique=True)),
                ("size", models.PositiveIntegerField()),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField()),
            ],
            options={"indexes": [models.Index(Upper("name"), name="picture_name_any_case")]},
        ),
        migrations.CreateModel(
            name="ProductPicture",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="product_pictures",
                        to="inventory.product",
                    ),
                ),
                (
                    "picture",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="product_pictures",
                        to="inventory.picture",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["product", "position"], name="product_picture_once_a_position"
                    ),
                    models.UniqueConstraint(
                        fields=["product", "picture"], name="product_picture_once_a_picture"
                    ),
                ],
            },
        ),
    ]
