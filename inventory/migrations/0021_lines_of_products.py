"""Let a sheet have lines that make and change products."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0020_sheets_from_anywhere"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProductLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.IntegerField()),
                (
                    "cells",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), db_default=[], default=list, size=None
                    ),
                ),
                ("left_out", models.BooleanField(db_default=False, default=False)),
                ("error", models.CharField(blank=True, db_default="", default="", max_length=500)),
                ("mark", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("sku", models.CharField(blank=True, db_default="", default="", max_length=100)),
                (
                    "what",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("create", "Create"),
                            ("change", "Change"),
                            ("leave", "leave as it is"),
                        ],
                        db_default="",
                        default="",
                        max_length=6,
                    ),
                ),
                (
                    "wanted",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
                ),
                (
                    "fields",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                ("applied", models.BooleanField(db_default=False, default=False)),
                ("reverted", models.BooleanField(db_default=False, default=False)),
                ("sequence", models.BigIntegerField(null=True)),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="inventory.product",
                    ),
                ),
                (
                    "sheet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="inventory.sheet",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("applied", True)),
                        fields=["product", "-sheet"],
                        name="sheets_of_a_product",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("sheet", "number"), name="product_line_numbered"
                    )
                ],
            },
        ),
    ]
