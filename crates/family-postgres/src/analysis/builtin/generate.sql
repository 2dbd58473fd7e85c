-- What `names.txt` holds: the names in pg_catalog of PostgreSQL 15, as one word each.
--
--   psql -XAtq -f generate.sql postgres | fmt -w 98 >names.txt
--
-- A name is as volatile as the most volatile function that has it. A test runs this file
-- against a server and compares.
SET search_path = pg_catalog;
SELECT 'immutable:';
SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p'
 GROUP BY proname HAVING bool_and(provolatile = 'i') ORDER BY proname COLLATE "C";
SELECT '';
SELECT 'stable:';
SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p'
 GROUP BY proname HAVING bool_and(provolatile <> 'v') AND NOT bool_and(provolatile = 'i')
 ORDER BY proname COLLATE "C";
SELECT '';
SELECT 'operators:';
SELECT oprname FROM pg_operator JOIN pg_proc ON pg_proc.oid = oprcode
 WHERE oprnamespace = 'pg_catalog'::regnamespace
 GROUP BY oprname HAVING bool_and(provolatile <> 'v') ORDER BY oprname COLLATE "C";
SELECT '';
SELECT 'types:';
SELECT typname FROM pg_type
 WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype <> 'c' AND typname NOT LIKE '\_%'
 ORDER BY typname COLLATE "C";
