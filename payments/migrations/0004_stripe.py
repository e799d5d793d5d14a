import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0003_refund_permission"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="payment",
            options={
                "permissions": [
                    ("refund_payment", "Can give captured money back"),
                    ("settle_payment", "Can settle a payment by hand"),
                ]
            },
        ),
        migrations.AddField(
            model_name="payment",
            name="action",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="payment",
            name="queued_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="GatewayEvent",
            fields=[
                ("id", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("gateway", models.CharField(max_length=50)),
                ("type", models.CharField(max_length=100)),
                ("reference", models.CharField(blank=True, max_length=200)),
                ("body", models.JSONField()),
                ("received_at", models.DateTimeField()),
                ("handled_at", models.DateTimeField(null=True)),
                (
                    "payment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="payments.payment",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-received_at"], name="gateway_events_newest_first")
                ],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO payments_gateway (slug, name, enabled) VALUES ('stripe', 'Stripe', false)",
            migrations.RunSQL.noop,
        ),
    ]
