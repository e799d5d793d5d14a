"""Of a file that could be read something may be to say, too; and its lines may speak of before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0023_stocktakes")]

    operations = [
        migrations.AlterModelOptions(
            name="sheet",
            options={"default_permissions": ["view"], "verbose_name_plural": "imports and counts"},
        ),
        migrations.RenameField(model_name="sheet", old_name="fault", new_name="note"),
        migrations.AddField(
            model_name="sheet", name="speaks_of", field=models.DateTimeField(null=True)
        ),
    ]
