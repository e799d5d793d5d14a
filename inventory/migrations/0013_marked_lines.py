"""Mark the lines of a file that look like mistakes, and count them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0012_codes_in_any_case")]

    operations = [
        migrations.AddField(
            model_name="countfile",
            name="marked",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="countline",
            name="mark",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
