from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Find the messages that nobody has looked into among all of the last days."""

    atomic = False
    dependencies = [("payments", "0011_authorizations_by_age")]

    operations = [
        AddIndexConcurrently(
            "gatewayevent",
            models.Index(
                fields=["received_at"],
                condition=Q(handled_at=None),
                name="gateway_events_waiting",
            ),
        )
    ]
