"""Sheets come from files of several kinds, and from elsewhere: their rows are kept as they were."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0019_categories_and_variants"),
    ]

    operations = [
        migrations.CreateModel(
            name="SheetContent",
            fields=[
                (
                    "sheet",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="content",
                        serialize=False,
                        to="inventory.sheet",
                    ),
                ),
                ("content", models.BinaryField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SheetLayout",
            fields=[
                (
                    "header_sha256",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                (
                    "columns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None
                    ),
                ),
                ("day_first", models.BooleanField(null=True)),
                ("decimal_comma", models.BooleanField(null=True)),
                ("used_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.RemoveConstraint(
            model_name="sheet",
            name="sheet_once",
        ),
        migrations.AddField(
            model_name="countline",
            name="cells",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=[], default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="countline",
            name="left_out",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="sheet",
            name="columns",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=[], default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="sheet",
            name="day_first",
            field=models.BooleanField(null=True),
        ),
        migrations.AddField(
            model_name="sheet",
            name="decimal_comma",
            field=models.BooleanField(null=True),
        ),
        migrations.AddField(
            model_name="sheet",
            name="delimiter",
            field=models.CharField(blank=True, db_default="", default="", max_length=1),
        ),
        migrations.AddField(
            model_name="sheet",
            name="fault",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddField(
            model_name="sheet",
            name="header",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(), db_default=[], default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="sheet",
            name="source",
            field=models.CharField(
                choices=[("file", "File"), ("selection", "Selection"), ("stocktake", "Stocktake")],
                db_default="file",
                default="file",
                max_length=9,
            ),
        ),
        migrations.AlterField(
            model_name="countline",
            name="barcode",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AlterField(
            model_name="countline",
            name="error",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AlterField(
            model_name="countline",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AlterField(
            model_name="countline",
            name="sku",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AlterField(
            model_name="sheet",
            name="kind",
            field=models.CharField(
                choices=[("counts", "Counts"), ("changes", "Changes"), ("products", "Products")],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="sheet",
            name="sha256",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AlterField(
            model_name="sheet",
            name="state",
            field=models.CharField(
                choices=[
                    ("reading", "being read"),
                    ("unreadable", "not readable"),
                    ("mapping", "waiting for its columns"),
                    ("checking", "being checked"),
                    ("checked", "ready to apply"),
                    ("applying", "being applied"),
                    ("applied", "applied"),
                    ("reverting", "being reverted"),
                    ("reverted", "reverted"),
                ],
                default="checking",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="sheet",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    models.Q(("state", "reverted"), _negated=True),
                    models.Q(("sha256", ""), _negated=True),
                ),
                fields=("sha256",),
                name="sheet_once",
            ),
        ),
    ]
