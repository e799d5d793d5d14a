-- What the role that serves may do in the database of the shop: read and write rows, but change no
-- table, empty none, and rewrite nothing that is kept as evidence. Run as the database's owner,
-- once before the first `migrate` and again after each one:
--
--     psql --username holdfast_owner --dbname shop --variable app=holdfast --file config/roles.sql
--
-- It may be run at any time and any number of times.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;

BEGIN;

-- What somebody else gives by default is not for the tables that the owner will make.
DO $$
DECLARE
    owner oid := coalesce(
        (SELECT relowner FROM pg_class WHERE oid = to_regclass('django_migrations')),
        (SELECT datdba FROM pg_database WHERE datname = current_database()));
BEGIN
    IF owner <> current_user::regrole THEN
        RAISE EXCEPTION 'run this as %, who owns what is there', owner::regrole;
    END IF;
END $$;

-- Databases of PostgreSQL 14 and before let everybody make tables.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"app";

-- First what is there, then what any later migration makes: no GRANT can be forgotten.
-- What a GRANT ALL has given too much goes.
REVOKE TRUNCATE, REFERENCES, TRIGGER ON ALL TABLES IN SCHEMA public FROM :"app";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"app";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO :"app";
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO :"app";
-- Functions are for everybody, unless a database's defaults say otherwise; but for the one from
-- which a migration keeps all but the owner. Those of an extension are not the owner's to give.
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::regprocedure, :'app') FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole
    AND prorettype <> 'trigger'::regtype AND proname <> 'inventory_repair_stock'
\gexec

-- What is only ever added to. Triggers refuse the same to everybody, but an owner may drop them.
-- Which migrations there have been is for the owner alone to say.
SELECT format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM %I', name, :'app')
FROM unnest(ARRAY['inventory_stocktransaction', 'orders_orderevent', 'orders_shipmentline',
    'orders_return', 'api_change']) AS name
WHERE to_regclass(name) IS NOT NULL
UNION ALL
SELECT format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON django_migrations FROM %I', :'app')
WHERE to_regclass('django_migrations') IS NOT NULL
\gexec

-- What is written once but for these columns: that a count was withdrawn, a shipment undone, and
-- what was inspected settled. When, triggers say.
SELECT format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM %I', name, :'app'),
    format('GRANT UPDATE (%s) ON %I TO %I', columns, name, :'app')
FROM (VALUES
    ('inventory_stockcount', 'withdrawn_at, withdrawn_sequence'),
    ('orders_shipment', 'undone_at'),
    ('orders_returnline', 'quantity, settled_as, settled_at')
) AS kept (name, columns)
WHERE to_regclass(name) IS NOT NULL
\gexec

-- Of which no row ever goes.
SELECT format('REVOKE DELETE, TRUNCATE ON %I FROM %I', name, :'app')
FROM unnest(ARRAY['inventory_stockcheckpoint', 'orders_auditresult', 'orders_order',
    'payments_payment', 'payments_attempt', 'payments_gatewayevent', 'payments_installation']) AS name
WHERE to_regclass(name) IS NOT NULL
\gexec

COMMIT;
