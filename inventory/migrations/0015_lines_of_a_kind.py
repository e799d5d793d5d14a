"""A sheet finds its lines in the model of its kind: the relation has no way back of its own."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0014_sheets")]

    operations = [
        migrations.AlterField(
            model_name="countline",
            name="sheet",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="inventory.sheet",
            ),
        ),
    ]
