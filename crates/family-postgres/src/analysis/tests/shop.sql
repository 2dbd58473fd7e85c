-- tables and views
SELECT * FROM shop.plain
SELECT v FROM plain WHERE k = 1
SELECT * FROM shop.simple
SELECT * FROM shop.nested ORDER BY k
SELECT * FROM shop.counting
SELECT * FROM shop.hidden
SELECT * FROM shop.doing
SELECT * FROM shop.dialed
SELECT * FROM shop.kept
SELECT * FROM shop.scratch
SELECT * FROM shop.remote
SELECT last_value FROM shop.serials_id_seq
SELECT * FROM shop.parted
SELECT * FROM shop.nobody
SELECT * FROM pg_temp.mine
SELECT * FROM twin
SELECT * FROM other.twin
SELECT * FROM shop.guarded
SELECT * FROM shop.trapped
SELECT ctid, * FROM shop.plain
SELECT * FROM shop.plain TABLESAMPLE BERNOULLI (10)
SELECT * FROM shop.plain FOR SHARE SKIP LOCKED
WITH plain AS (SELECT 1) SELECT * FROM plain
WITH t AS (SELECT * FROM shop.doing) SELECT 1 FROM t
COPY shop.plain TO STDOUT
COPY shop.doing TO STDOUT
COPY shop.plain FROM STDIN
-- functions, operators, types
SELECT shop.pure(1), pure(1)
SELECT shop.looks()
SELECT shop.peeks()
SELECT shop.keeps()
SELECT shop.sneaks()
SELECT shop.again(3)
SELECT shop.pong(3)
SELECT shop.does()
SELECT does()
SELECT shop.addsum(k) FROM shop.plain
SELECT p.row_does FROM shop.plain p
SELECT (p).row_does FROM shop.plain p
SELECT initcap('x')
SELECT pg_catalog.initcap('x')
SELECT nobody(1)
SELECT 'a' OPERATOR(shop.=~~=) 1
SELECT 1 OPERATOR(shop.<+>) 2
SELECT 'ok'::shop.mood, ROW(1, 2)::shop.pair, 3::shop.small
SELECT 3::shop.nasty
SELECT '{3}'::shop.nasty[]
SELECT 3::shop.nothing
SELECT shop.proc()
CALL shop.proc()
-- the same effect wherever it runs
INSERT INTO shop.plain (k, v) VALUES (1, 'a'), (2, $1)
INSERT INTO shop.plain VALUES (1, 'a')
INSERT INTO shop.plain (k, v) VALUES (1, now()::text)
INSERT INTO shop.plain (k) SELECT 1
INSERT INTO shop.accounts (id, email, balance, at) VALUES (1, 'a', 0, '2024-01-01')
INSERT INTO shop.accounts (id, email) VALUES (1, 'a')
INSERT INTO shop.accounts (id, email, at) VALUES (1, 'a', DEFAULT)
INSERT INTO shop.orders (account) VALUES (1)
INSERT INTO shop.serials (v) VALUES ('a')
INSERT INTO shop.serials (id, v) VALUES (1, 'a')
INSERT INTO shop.serials DEFAULT VALUES
INSERT INTO shop.keyless (v) VALUES ('a')
INSERT INTO shop.plain (k, v) VALUES (1, 'a') ON CONFLICT (k) DO UPDATE SET v = excluded.v
INSERT INTO shop.accounts (id, at) VALUES (1, '2024-01-01') ON CONFLICT DO NOTHING
UPDATE shop.plain SET v = 'b' WHERE k = $1
UPDATE shop.plain SET v = 'b' WHERE k IN (1, 2) AND v = 'a'
UPDATE shop.plain SET v = 'b' WHERE k = ANY ($1)
UPDATE shop.plain SET v = 'b' WHERE k = 1 OR v = 'a'
UPDATE shop.plain SET v = 'b' WHERE k > 1
UPDATE shop.plain SET v = 'b'
UPDATE shop.plain SET v = (SELECT max(v) FROM shop.plain) WHERE k = 1
UPDATE shop.plain SET v = a.email FROM shop.accounts a WHERE k = a.id
UPDATE shop.plain SET v = random()::text WHERE k = 1
UPDATE shop.lines SET sku = 'x' WHERE order_id = 1 AND line = 2
UPDATE shop.lines SET sku = 'x' WHERE order_id = 1
DELETE FROM shop.accounts WHERE id = 1
DELETE FROM shop.keyless WHERE v = 'x'
MERGE INTO shop.plain p USING shop.accounts a ON p.k = a.id WHEN MATCHED THEN DO NOTHING
-- what comes with a change
INSERT INTO shop.audited VALUES (1)
INSERT INTO shop.ruled VALUES (1)
INSERT INTO shop.guarded (k, owner) VALUES (1, 'x')
INSERT INTO shop.simple (k) VALUES (1)
UPDATE shop.accounts SET at = DEFAULT WHERE id = 1
INSERT INTO shop.parted (k, v) VALUES (1, 'x')
TRUNCATE shop.accounts CASCADE
WITH gone AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM gone
EXPLAIN SELECT shop.does()
EXPLAIN ANALYZE SELECT shop.does()
CREATE TABLE shop.made AS SELECT * FROM shop.plain
CREATE TEMP TABLE mine AS SELECT * FROM shop.plain
INSERT INTO shop.named (k) VALUES (1)
-- what functions and triggers leave behind
UPDATE shop.stamped SET k = 2 WHERE k = 1
INSERT INTO shop.told VALUES (1)
SELECT shop.locks()
SELECT shop.locks_too()
SELECT shop.tells_too()
SELECT shop.uuid_generate_v4()
SELECT shop.sends()
-- rows that a change of the schema gives new values
ALTER TABLE shop.plain ADD COLUMN a int DEFAULT 1
ALTER TABLE shop.plain ADD COLUMN a timestamptz DEFAULT clock_timestamp()
ALTER TABLE shop.plain ADD COLUMN a bigserial
ALTER TABLE shop.plain ADD COLUMN a int GENERATED ALWAYS AS IDENTITY
ALTER TABLE shop.plain ALTER COLUMN v TYPE int USING v::int
ALTER TABLE shop.plain ALTER COLUMN v TYPE int USING shop.does()
