-- what applications read: every one of these is safe on the other side
SELECT k, v FROM shop.plain WHERE k = 1
SELECT k, v FROM shop.plain WHERE k IN (1, 2, 3) AND v IS NOT NULL ORDER BY k DESC NULLS LAST
SELECT k FROM shop.plain WHERE v LIKE 'a%' OR v ILIKE '%b' OR v ~ '^c' OR v !~* 'd' OR v SIMILAR TO 'e%'
SELECT a.id, o.id, l.sku FROM shop.accounts a LEFT JOIN shop.orders o ON o.account = a.id FULL JOIN shop.lines l ON l.order_id = o.id
SELECT * FROM shop.accounts NATURAL JOIN shop.plain
SELECT * FROM shop.accounts a JOIN shop.serials s USING (id)
SELECT a.id, x.n FROM shop.accounts a CROSS JOIN LATERAL (SELECT count(*) AS n FROM shop.orders o WHERE o.account = a.id) x
SELECT account, count(*), sum(id), avg(id), min(note), max(note), bool_or(note IS NULL) FROM shop.orders GROUP BY account HAVING count(*) > 0
SELECT account, note, count(*) FROM shop.orders GROUP BY GROUPING SETS ((account), (note), ()) ORDER BY 1, 2
SELECT account, note, GROUPING(account) FROM shop.orders GROUP BY CUBE (account, note)
SELECT id, rank() OVER w, lag(id) OVER w, sum(id) OVER (PARTITION BY account ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM shop.orders WINDOW w AS (PARTITION BY account ORDER BY id)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY k), count(*) FILTER (WHERE k > 1) FROM shop.plain
SELECT string_agg(v, ',' ORDER BY k) FROM shop.plain
WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 5) SELECT n FROM up ORDER BY n
WITH RECURSIVE g(a, b) AS (SELECT 1, 2 UNION SELECT b, a FROM g) SEARCH DEPTH FIRST BY a SET o CYCLE a SET c USING p SELECT * FROM g
WITH big AS MATERIALIZED (SELECT * FROM shop.accounts WHERE balance > 0) SELECT * FROM big b WHERE EXISTS (SELECT 1 FROM shop.orders o WHERE o.account = b.id)
SELECT k FROM shop.plain UNION SELECT id FROM shop.accounts INTERSECT SELECT id FROM shop.serials EXCEPT ALL SELECT 1 ORDER BY 1
SELECT * FROM shop.plain WHERE k = ANY (ARRAY[1, 2]) AND k <> ALL (SELECT id FROM shop.accounts)
SELECT (SELECT max(balance) FROM shop.accounts), ARRAY(SELECT k FROM shop.plain ORDER BY k), ROW(1, 'a'), (1, 2) = (3, 4)
SELECT CASE WHEN k > 1 THEN 'a' ELSE 'b' END, CASE k WHEN 1 THEN 'x' END, COALESCE(v, ''), NULLIF(v, ''), GREATEST(k, 1), LEAST(k, 2) FROM shop.plain
SELECT k::text, CAST(k AS numeric(10, 2)), '2024-01-01'::date + 1, interval '1 day' * 2, '{1,2}'::int[], 'sad'::shop.mood, 3::shop.small FROM shop.plain
SELECT extract(year FROM at), date_trunc('day', at), at AT TIME ZONE 'UTC', to_char(at, 'YYYY'), age(at, at) FROM shop.accounts
SELECT now() - at, CURRENT_DATE, LOCALTIMESTAMP FROM shop.accounts
SELECT '{"a": [1, 2]}'::jsonb -> 'a' ->> 0, '{"a": 1}'::jsonb @> '{}', jsonb_path_query('[1, 2]', '$[*]'), row_to_json(p), to_jsonb(k) FROM shop.plain p
SELECT key, value FROM jsonb_each('{"a": 1}'::jsonb) ORDER BY key
SELECT * FROM jsonb_to_recordset('[{"a": 1}]') AS x(a int, b text)
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) WITH ORDINALITY AS u(a, b, n)
SELECT * FROM ROWS FROM (generate_series(1, 3), generate_series(1, 2)) AS g(a, b)
SELECT * FROM generate_series(now(), now() + interval '2 days', interval '1 day') AS d
SELECT to_tsvector('english', v) @@ to_tsquery('english', 'a & b'), ts_rank(to_tsvector(v), to_tsquery('a')) FROM shop.plain
SELECT regexp_replace(v, 'a', 'b', 'g'), split_part(v, ',', 1), substring(v FROM 1 FOR 2), position('a' IN v), trim(both ' ' FROM v), overlay(v PLACING 'x' FROM 1) FROM shop.plain
SELECT int4range(1, 5) && int4range(3, 7), lower(int4range(1, 5)), daterange('2024-01-01', '2024-02-01') @> '2024-01-15'::date
SELECT xmlelement(name a, xmlattributes(1 AS b), 'c'), xmlforest(k AS x), xpath('//a', '<a/>') FROM shop.plain
SELECT * FROM XMLTABLE('/r/x' PASSING ('<r><x>1</x></r>'::xml) COLUMNS n int PATH '.') AS t
SELECT DISTINCT v FROM shop.plain
SELECT DISTINCT ON (account) account, id FROM shop.orders ORDER BY account, id DESC
SELECT * FROM shop.plain ORDER BY k LIMIT 5 OFFSET 1
SELECT * FROM shop.plain ORDER BY k FETCH FIRST 2 ROWS WITH TIES
SELECT * FROM ONLY shop.parted WHERE k BETWEEN 1 AND 150
SELECT * FROM shop.simple JOIN shop.nested USING (k) ORDER BY k
SELECT shop.pure(k), shop.looks(), 1 OPERATOR(shop.<+>) k FROM shop.plain
SELECT * FROM shop.guarded
SELECT p.*, (p).v, p IS DISTINCT FROM p, p.v COLLATE "C" FROM shop.plain p
SELECT * FROM shop.parted WHERE (k, v) > (1, 'a')
SELECT md5(v), encode(sha256(v::bytea), 'hex'), length(v), hashtext(v) FROM shop.plain
SELECT format('%s %I', v, v), concat_ws('-', k, v), quote_literal(v), repeat('a', k % 3) FROM shop.plain
TABLE shop.plain
VALUES (1, 'a'), (2, NULL)
SELECT
SELECT NULL, true, 1.5e3, B'101', X'1F', E'a\nb', U&'\0061', $$dollar$$
