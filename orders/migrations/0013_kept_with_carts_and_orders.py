import django.db.models.deletion
from django.db import migrations, models

_LOCATION = {
    "null": True,
    "to_field": "slug",
    "db_column": "location",
    "db_index": False,
    "on_delete": django.db.models.deletion.PROTECT,
    "to": "inventory.location",
}


class Migration(migrations.Migration):
    """What clients keep with carts and orders, which nothing here acts on."""

    dependencies = [
        ("inventory", "0010_counts_are_evidence"),
        ("orders", "0012_events_are_not_truncated"),
    ]

    operations = [
        migrations.AddField("cart", "custom_attributes", models.JSONField(null=True)),
        migrations.AddField(
            "cart",
            "external_ref",
            models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField("cartitem", "location", models.ForeignKey(**_LOCATION)),
        migrations.AddField("order", "custom_attributes", models.JSONField(null=True)),
        migrations.AddField("orderitem", "location", models.ForeignKey(**_LOCATION)),
    ]
