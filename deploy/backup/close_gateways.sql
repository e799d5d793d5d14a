-- Close the payment gateways of a shop that is a copy, before anybody may connect to it:
--
--     psql --dbname shop --variable why='a snapshot for trying things' --file close_gateways.sql
--
-- `manage.py open_gateways` opens them.
\set ON_ERROR_STOP on
INSERT INTO payments_installation (id, name, place, accounts, closed_at, closed_why)
VALUES (1, '', '', '{}', now(), :'why')
ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at, closed_why = excluded.closed_why;
