-- One of everything that a verdict may depend on.
CREATE SCHEMA shop;
CREATE SCHEMA other;
CREATE TABLE shop.accounts (id int PRIMARY KEY, email text UNIQUE, balance numeric NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int REFERENCES shop.accounts ON DELETE CASCADE, note text);
CREATE TABLE shop.lines (order_id bigint REFERENCES shop.orders ON DELETE CASCADE, line int, sku text, PRIMARY KEY (order_id, line));
CREATE TABLE shop.plain (k int PRIMARY KEY, v text, total int GENERATED ALWAYS AS (k * 2) STORED);
CREATE TABLE shop.keyless (v text, seen timestamptz DEFAULT clock_timestamp());
CREATE TABLE shop.serials (id serial PRIMARY KEY, v text);
CREATE UNLOGGED TABLE shop.scratch (k int PRIMARY KEY);
CREATE TABLE shop.parted (k int, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE shop.parted_low PARTITION OF shop.parted FOR VALUES FROM (0) TO (100);
CREATE TABLE shop.parted_high PARTITION OF shop.parted FOR VALUES FROM (100) TO (200);

CREATE FUNCTION shop.pure(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION shop.looks() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM shop.plain';
CREATE FUNCTION shop.does() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO shop.keyless VALUES (''x''); RETURN 1; END';
CREATE FUNCTION shop.row_does(shop.plain) RETURNS int LANGUAGE sql AS 'SELECT shop.does()';
CREATE FUNCTION shop.int_ok(text, int) RETURNS boolean LANGUAGE sql AS 'SELECT shop.does() > 0';
CREATE OPERATOR shop.=~~= (FUNCTION = shop.int_ok, LEFTARG = text, RIGHTARG = int);
CREATE OPERATOR shop.<+> (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION shop.adds(int, int) RETURNS int LANGUAGE sql AS 'SELECT shop.does() + $1 + $2';
CREATE AGGREGATE shop.addsum(int) (SFUNC = shop.adds, STYPE = int, INITCOND = '0');
-- A function that hides one of PostgreSQL's.
CREATE FUNCTION other.initcap(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT shop.does()';
CREATE PROCEDURE shop.proc() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shop.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM shop.does(); RETURN NEW; END';

CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
CREATE TYPE shop.pair AS (a int, b int);
CREATE DOMAIN shop.small AS int CHECK (VALUE < 10);
CREATE DOMAIN shop.nasty AS int CHECK (shop.does() = VALUE);

CREATE TABLE shop.audited (k int PRIMARY KEY);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON shop.audited FOR EACH ROW EXECUTE FUNCTION shop.fires();
CREATE TABLE shop.ruled (k int PRIMARY KEY);
CREATE RULE also AS ON INSERT TO shop.ruled DO ALSO INSERT INTO shop.keyless VALUES ('r');
CREATE TABLE shop.guarded (k int PRIMARY KEY, owner name);
ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON shop.guarded USING (owner = current_user);
CREATE TABLE shop.trapped (k int PRIMARY KEY);
ALTER TABLE shop.trapped ENABLE ROW LEVEL SECURITY;
CREATE POLICY trap ON shop.trapped USING (shop.does() > 0);

CREATE VIEW shop.simple AS SELECT k, v FROM shop.plain;
CREATE VIEW shop.nested AS SELECT s.k, a.balance FROM shop.simple s JOIN shop.accounts a ON a.id = s.k;
CREATE VIEW shop.counting AS SELECT nextval('shop.serials_id_seq'), k FROM shop.plain;
CREATE VIEW shop.hidden AS SELECT k FROM shop.counting;
CREATE VIEW shop.doing AS SELECT shop.does() AS d, k FROM shop.plain;
CREATE VIEW shop.dialed AS SELECT now() AS at, pg_backend_pid() AS pid;
CREATE MATERIALIZED VIEW shop.kept AS SELECT k FROM shop.plain;
-- A view in another schema that hides a table when the search path says so.
CREATE VIEW other.plain AS SELECT k, v FROM shop.plain;
CREATE TABLE other.twin (k int PRIMARY KEY);
CREATE VIEW shop.twin AS SELECT shop.does() AS k;
CREATE FUNCTION shop.peeks() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM shop.kept); END';
CREATE FUNCTION shop.keeps() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM shop.kept';
CREATE FUNCTION shop.sneaks() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT nextval(''shop.serials_id_seq'')';
CREATE FUNCTION shop.again(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE OR REPLACE FUNCTION shop.again(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT CASE WHEN $1 > 0 THEN shop.again($1 - 1) + shop.again($1 - 2) ELSE 0 END';
CREATE FUNCTION shop.ping(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION shop.pong(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT shop.ping($1) + shop.again($1)';
CREATE OR REPLACE FUNCTION shop.ping(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT shop.ping($1) + shop.pong($1)';
CREATE TABLE shop.stamped (k int PRIMARY KEY, at timestamptz);
CREATE FUNCTION shop.stamps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END';
CREATE TRIGGER stamp BEFORE UPDATE ON shop.stamped FOR EACH ROW EXECUTE FUNCTION shop.stamps();
CREATE TABLE shop.told (k int PRIMARY KEY);
CREATE FUNCTION shop.tells() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''a'', ''b''); RETURN NEW; END';
CREATE TRIGGER tell AFTER INSERT ON shop.told FOR EACH ROW EXECUTE FUNCTION shop.tells();
CREATE FUNCTION shop.locks() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(1)';
CREATE FUNCTION shop.locks_too() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM shop.locks(); END';
-- It tells, because the table it writes to does.
CREATE FUNCTION shop.tells_too() RETURNS void LANGUAGE sql AS 'INSERT INTO shop.told VALUES (1)';
-- As an extension's in C would be.
CREATE FUNCTION shop.uuid_generate_v4() RETURNS uuid LANGUAGE internal VOLATILE AS 'gen_random_uuid';
CREATE TABLE shop.named (k int PRIMARY KEY, id uuid DEFAULT shop.uuid_generate_v4());
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER away FOREIGN DATA WRAPPER far;
CREATE FOREIGN TABLE shop.remote (k int) SERVER away;
CREATE FUNCTION shop.sends() RETURNS void LANGUAGE sql AS 'INSERT INTO shop.remote VALUES (1)';
-- Rows, or functions in views and policies would never be called.
INSERT INTO shop.plain VALUES (1, 'a'), (2, 'b'), (3, 'a,b');
INSERT INTO shop.accounts VALUES (1, 'a', 10), (2, 'b', 0), (3, 'c', 5);
INSERT INTO shop.orders (account, note) VALUES (1, 'x'), (1, NULL), (2, 'y');
INSERT INTO shop.lines SELECT id, 1, 'sku' FROM shop.orders;
INSERT INTO shop.keyless VALUES ('x');
INSERT INTO shop.serials (v) VALUES ('x'), ('y');
INSERT INTO shop.scratch VALUES (1);
INSERT INTO shop.parted VALUES (1, 'low'), (101, 'high');
INSERT INTO shop.audited VALUES (1);
INSERT INTO shop.stamped VALUES (1);
INSERT INTO shop.guarded VALUES (1, current_user);
INSERT INTO shop.trapped VALUES (1);
INSERT INTO other.twin VALUES (1);
REFRESH MATERIALIZED VIEW shop.kept;
