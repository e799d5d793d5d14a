import django.db.models.deletion
from django.db import migrations, models

import api.ids


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0005_low_stock_threshold"),
    ]

    operations = [
        migrations.CreateModel(
            name="CountFile",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("sha256", models.CharField(max_length=64)),
                (
                    "kind",
                    models.CharField(
                        choices=[("counts", "Counts"), ("changes", "Changes")], max_length=7
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("checking", "being checked"),
                            ("checked", "ready to apply"),
                            ("applying", "being applied"),
                            ("applied", "applied"),
                            ("reverting", "being reverted"),
                            ("reverted", "reverted"),
                        ],
                        default="checking",
                        max_length=9,
                    ),
                ),
                ("lines_total", models.IntegerField()),
                ("lines_done", models.IntegerField(default=0)),
                ("position", models.IntegerField(default=0)),
                ("changed", models.IntegerField(default=0)),
                ("unchanged", models.IntegerField(default=0)),
                ("refused", models.IntegerField(default=0)),
                ("units_added", models.BigIntegerField(default=0)),
                ("units_removed", models.BigIntegerField(default=0)),
                ("reverted", models.IntegerField(default=0)),
                ("not_reverted", models.IntegerField(default=0)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=200)),
                ("uploaded_by", models.CharField(max_length=200)),
                ("applied_by", models.CharField(blank=True, max_length=200)),
                ("reverted_by", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField()),
                ("applied_at", models.DateTimeField(null=True)),
                ("reverted_at", models.DateTimeField(null=True)),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "file of counts",
                "verbose_name_plural": "counts",
                "default_permissions": ["view"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "reverted"), _negated=True),
                        fields=("sha256",),
                        name="count_file_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CountLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.IntegerField()),
                ("sku", models.CharField(blank=True, max_length=100)),
                ("barcode", models.CharField(blank=True, max_length=100)),
                ("units", models.IntegerField(null=True)),
                ("counted_at", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("total_before", models.IntegerField(null=True)),
                ("change", models.BigIntegerField(null=True)),
                ("sequence", models.BigIntegerField(null=True)),
                ("reverted_sequence", models.BigIntegerField(null=True)),
                ("error", models.CharField(blank=True, max_length=500)),
                (
                    "file",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="inventory.countfile",
                    ),
                ),
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
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("sequence__isnull", False)),
                        fields=["product"],
                        name="counts_of_a_product",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("file", "number"), name="count_line_numbered")
                ],
            },
        ),
    ]
