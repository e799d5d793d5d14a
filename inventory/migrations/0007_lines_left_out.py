from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0006_count_files"),
    ]

    operations = [
        migrations.AddField(
            model_name="countfile",
            name="left_out",
            field=models.IntegerField(default=0),
        ),
    ]
