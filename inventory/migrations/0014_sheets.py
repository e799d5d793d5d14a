"""Files of counts become sheets: lines may come from elsewhere, too, and say other things."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0013_marked_lines")]

    operations = [
        migrations.RenameModel("CountFile", "Sheet"),
        migrations.RenameField("countline", "file", "sheet"),
        # Renaming a field renames it in the database's constraints, and not in the state's.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint("countline", "count_line_numbered"),
                migrations.AddConstraint(
                    "countline",
                    models.UniqueConstraint(fields=["sheet", "number"], name="count_line_numbered"),
                ),
            ]
        ),
        migrations.AlterModelOptions(
            "sheet",
            options={"default_permissions": ["view"], "verbose_name_plural": "counts"},
        ),
        migrations.RunSQL(
            "ALTER INDEX count_file_once RENAME TO sheet_once",
            "ALTER INDEX sheet_once RENAME TO count_file_once",
            state_operations=[
                migrations.RemoveConstraint("sheet", "count_file_once"),
                migrations.AddConstraint(
                    "sheet",
                    models.UniqueConstraint(
                        fields=["sha256"],
                        condition=~models.Q(state="reverted"),
                        name="sheet_once",
                    ),
                ),
            ],
        ),
    ]
