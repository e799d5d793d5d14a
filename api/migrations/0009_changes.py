"""What people and programs set, on a record that nobody can change."""

from django.db import migrations, models

KEPT = """
CREATE FUNCTION api_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are kept as they are', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER record_is_append_only
    BEFORE UPDATE OR DELETE ON api_change FOR EACH ROW EXECUTE FUNCTION api_is_kept();

CREATE TRIGGER record_is_not_truncated
    BEFORE TRUNCATE ON api_change FOR EACH STATEMENT EXECUTE FUNCTION api_is_kept();
"""

NOT_KEPT = """
DROP TRIGGER record_is_append_only ON api_change;
DROP TRIGGER record_is_not_truncated ON api_change;
DROP FUNCTION api_is_kept()
"""


class Migration(migrations.Migration):
    dependencies = [("api", "0008_unpaid_orders_expire")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=200)),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=64)),
                ("thing_id", models.CharField(max_length=64)),
                ("thing_name", models.TextField()),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("created", "Created"),
                            ("changed", "Changed"),
                            ("deleted", "Deleted"),
                            ("deactivated", "Deactivated"),
                            ("reactivated", "Reactivated"),
                            ("secret renewed", "Secret Renewed"),
                            ("password changed", "Password Changed"),
                            ("let in again", "Let In"),
                        ],
                        max_length=16,
                    ),
                ),
                ("fields", models.JSONField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["kind", "thing_id", "-id"], name="change_of_a_thing")
                ],
            },
        ),
        migrations.RunSQL(KEPT, NOT_KEPT),
    ]
