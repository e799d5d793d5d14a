"""Call what variants share parent products."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0024_what_is_said_of_files"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="parent",
            options={"verbose_name": "parent product"},
        ),
    ]
