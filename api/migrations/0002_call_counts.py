from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="CallCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "kind",
                        "address",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("kind", models.CharField(max_length=16)),
                ("address", models.CharField(max_length=64)),
                ("period", models.BigIntegerField()),
                ("calls", models.PositiveIntegerField()),
            ],
        ),
        # Counts need not outlive a crash, and so need not wait for the disk.
        migrations.RunSQL(
            "ALTER TABLE api_callcount SET UNLOGGED", "ALTER TABLE api_callcount SET LOGGED"
        ),
    ]
