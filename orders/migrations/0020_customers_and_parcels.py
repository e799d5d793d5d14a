from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Upper

import api.ids


class Migration(migrations.Migration):
    """Notes about customers, and an index by which parcels are found by their tracking numbers."""

    dependencies = [("orders", "0019_shipments")]

    operations = [
        migrations.CreateModel(
            name="CustomerNote",
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
                ("email", models.CharField(max_length=254)),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={"abstract": False},
        ),
        migrations.AddIndex(
            "customernote",
            models.Index(fields=["email", "created_at"], name="customer_notes_by_email"),
        ),
        migrations.AddIndex(
            "shipment",
            models.Index(
                Upper("tracking"), condition=~Q(tracking=""), name="shipments_by_tracking"
            ),
        ),
    ]
