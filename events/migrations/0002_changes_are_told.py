"""What writes the outbox: triggers, so that nothing can change untold, whoever changes it."""

from django.db import migrations

TELL = """
CREATE FUNCTION events_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events_outbox (kind, subject, changes)
    VALUES (TG_ARGV[0], coalesce(NEW.id, OLD.id)::text, ARRAY[TG_ARGV[1]]);
    RETURN NULL;
END $$;
"""

# Of a row that belongs to something else, or is not known by an id. Slower, for what is rare.
TELL_OF = """
CREATE FUNCTION events_tell_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events_outbox (kind, subject, changes)
    VALUES (TG_ARGV[0], coalesce(to_jsonb(NEW), to_jsonb(OLD)) ->> TG_ARGV[2], ARRAY[TG_ARGV[1]]);
    RETURN NULL;
END $$;
"""

SETTINGS = """
CREATE TRIGGER created_settings_are_told AFTER INSERT ON api_storesettings FOR EACH ROW
    EXECUTE FUNCTION events_tell('settings', 'created');
CREATE TRIGGER changed_settings_are_told AFTER UPDATE ON api_storesettings FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION events_tell('settings', 'updated');
"""

INTEGRATIONS = """
CREATE TRIGGER created_integration_is_told AFTER INSERT ON events_integration FOR EACH ROW
    EXECUTE FUNCTION events_tell('integration', 'created');
CREATE TRIGGER changed_integration_is_told AFTER UPDATE ON events_integration FOR EACH ROW
    WHEN ((OLD.name, OLD.description, OLD.enabled, OLD.integration_type, OLD.url,
            OLD.secret_key, OLD.observes)
        IS DISTINCT FROM (NEW.name, NEW.description, NEW.enabled, NEW.integration_type, NEW.url,
            NEW.secret_key, NEW.observes))
    EXECUTE FUNCTION events_tell('integration', 'updated');
CREATE TRIGGER deleted_integration_is_told AFTER DELETE ON events_integration FOR EACH ROW
    EXECUTE FUNCTION events_tell('integration', 'deleted');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0010_job_workers"),
        ("events", "0001_feed_and_integrations"),
    ]

    operations = [
        migrations.RunSQL(TELL, "DROP FUNCTION events_tell()"),
        migrations.RunSQL(TELL_OF, "DROP FUNCTION events_tell_of()"),
        migrations.RunSQL(
            SETTINGS,
            "DROP TRIGGER created_settings_are_told ON api_storesettings;"
            "DROP TRIGGER changed_settings_are_told ON api_storesettings",
        ),
        migrations.RunSQL(
            INTEGRATIONS,
            "DROP TRIGGER created_integration_is_told ON events_integration;"
            "DROP TRIGGER changed_integration_is_told ON events_integration;"
            "DROP TRIGGER deleted_integration_is_told ON events_integration",
        ),
    ]
