-- Types, schemas and functions that tables need.
CREATE SCHEMA shop;
CREATE SCHEMA "Odd Names";
CREATE EXTENSION citext SCHEMA shop;
SET search_path = shop;

CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent', 'returned; see "note"');
CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@ ]+@[^@ ]+$');
CREATE DOMAIN price AS numeric(12, 2) DEFAULT 0 CHECK (VALUE >= 0);
CREATE TYPE address AS (street text, number integer, zip varchar(10));
CREATE TYPE span AS RANGE (subtype = integer);
CREATE TYPE "Mixed Type" AS ENUM ('A', 'b', 'ß');
CREATE SEQUENCE tickets AS bigint START 1000 INCREMENT 5 CACHE 10;
CREATE SEQUENCE wheel AS smallint MINVALUE -3 MAXVALUE 3 START 2 CYCLE;
CREATE SEQUENCE never_called START 42;
CREATE SEQUENCE downwards AS integer INCREMENT -1 MINVALUE -1000000 MAXVALUE -1 START -1;

CREATE FUNCTION plain_sum(a integer, b integer) RETURNS integer
    LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION next_ticket() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN nextval('shop.tickets');
END $$;
CREATE PROCEDURE touch_customer(wanted bigint) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop.customers SET touched = clock_timestamp() WHERE id = wanted;
END $$;
CREATE AGGREGATE product(double precision) (SFUNC = float8mul, STYPE = double precision, INITCOND = 1);
