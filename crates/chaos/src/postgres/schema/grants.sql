-- What the application may do; the owner may do everything.
GRANT USAGE ON SCHEMA shop, "Odd Names", load TO shop_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop, "Odd Names", load TO shop_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA shop, "Odd Names", load TO shop_app;
GRANT EXECUTE ON FUNCTION shop.plain_sum(integer, integer), shop.stamped() TO shop_app;
REVOKE ALL ON FUNCTION shop.next_ticket() FROM PUBLIC;
REVOKE DELETE ON shop.audit FROM shop_app;
GRANT UPDATE (text) ON shop.notes TO shop_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA load
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA load GRANT USAGE, SELECT ON SEQUENCES TO shop_app;
