from django.db import migrations, models
from django.db.models.lookups import GreaterThan


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0008_counted_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="stock",
            name="any_available",
            field=models.GeneratedField(
                db_persist=True,
                expression=GreaterThan(models.F("available"), 0),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AddIndex(
            model_name="product",
            index=models.Index(fields=["name", "id"], name="product_by_name"),
        ),
        migrations.AddIndex(
            model_name="stock",
            index=models.Index(fields=["any_available", "managed"], name="stock_state"),
        ),
    ]
