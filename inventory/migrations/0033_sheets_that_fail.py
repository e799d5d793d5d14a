"""How often in a row jobs have failed at a sheet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0032_repair_the_moment"),
    ]

    operations = [
        migrations.AddField(
            model_name="sheet",
            name="failures",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
