"""Look for parts of names and skus, and list products by age, without reading all of them."""

import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0002_the_log_agrees_with_the_stock")]

    operations = [
        # A trusted extension: whoever owns the database may create it.
        TrigramExtension(),
        migrations.AddIndex(
            "product", models.Index(fields=["created_at", "id"], name="product_by_age")
        ),
        migrations.AddIndex(
            "product",
            django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("name"), name="gin_trgm_ops"
                ),
                name="product_name_parts",
                fastupdate=False,
            ),
        ),
        migrations.AddIndex(
            "product",
            django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("sku"), name="gin_trgm_ops"
                ),
                name="product_sku_parts",
                fastupdate=False,
            ),
        ),
    ]
