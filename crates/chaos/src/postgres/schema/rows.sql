-- Content. What is volatile is volatile on purpose: both sides have to hold the same in the end.
SET search_path = shop;

INSERT INTO customers (name, login, mail, home, born, referred_by)
SELECT 'Customer ' || n || CASE WHEN n % 7 = 0 THEN E' \u00e9\u4e16\U0001F600\t''"\\ ' ELSE '' END,
       CASE WHEN n % 3 > 0 THEN 'Login' || n END,
       CASE WHEN n % 5 > 0 THEN 'c' || n || '@example.test' END,
       CASE n % 4 WHEN 0 THEN NULL
                  WHEN 1 THEN ROW('Main "St", (1)', n, NULL)::address
                  ELSE ROW('', NULL, n::text)::address END,
       date '1950-01-01' + (n * 13 % 20000),
       NULL
FROM generate_series(1, 2000) AS n;
UPDATE customers SET referred_by = id / 2 WHERE id % 2 = 0;

INSERT INTO orders (customer, status, tags, matrix, document, placed, total)
SELECT 1 + n % 2000,
       (enum_range(NULL::order_status))[1 + n % 4],
       CASE n % 4 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['a', NULL, 'NULL', '', '{"x,y"}']
                  ELSE ARRAY['tag' || n] END,
       CASE WHEN n % 3 = 0 THEN ARRAY[[n, n + 1], [NULL, 0]] END,
       CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN 'null'::jsonb
                  ELSE jsonb_build_object('n', n, 'deep', jsonb_build_array(n, 1.50, true, NULL, 'é"')) END,
       timestamptz '2024-01-01Z' + n * interval '61 minutes 1.000001 seconds',
       (n * 37 % 100000) / 100.0
FROM generate_series(1, 6000) AS n;

INSERT INTO order_lines ("order", line, article, amount, unit)
SELECT o, l, 'article ' || (o * l % 97), (o + l) / 7.0, (o * 3 + l) % 1000 / 10.0
FROM generate_series(1, 6000) AS o, generate_series(1, 1 + o % 4) AS l;

INSERT INTO measurements
SELECT date '2023-11-01' + n % 900, n / 900, CASE n % 50 WHEN 0 THEN NULL WHEN 1 THEN 'NaN'
       WHEN 2 THEN '-Infinity' ELSE (n / 3.0)::real END
FROM generate_series(0, 3599) AS n;
INSERT INTO stock
SELECT (ARRAY['north', 'nørd', 'south'])[1 + n % 3], n, n * 7 % 1000 FROM generate_series(1, 600) AS n;

-- Incompressible text is stored outside of its row, compressible text may stay.
INSERT INTO documents (id, title, body, picture, extern)
SELECT md5('document ' || n)::uuid,
       'Document ' || n,
       CASE WHEN n % 3 = 0 THEN repeat('all the same ', 4000)
            ELSE (SELECT string_agg(md5(n || ' ' || i), '') FROM generate_series(1, 600) AS i) END,
       CASE WHEN n % 2 = 0 THEN (SELECT decode(string_agg(md5('p' || n || i), ''), 'hex')
                                 FROM generate_series(1, 1500) AS i) END,
       CASE WHEN n % 4 > 0 THEN repeat(chr(65 + n % 26), 9000 + n) END
FROM generate_series(1, 80) AS n;

INSERT INTO edges (id, small, whole, large, exact, scaled, single, double, cash, flag, letters, words,
                   line, raw, day, clock, clock_zone, stamp, stamp_zone, duration) VALUES
    (1, -32768, -2147483648, -9223372036854775808, 'NaN', -999999999999999.99999, 'NaN', 'NaN',
     '-92233720368547758.08', false, '', '', '', '', '4713-01-01 BC', '00:00', '00:00+15:59',
     '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC', '-178000000 years'),
    (2, 32767, 2147483647, 9223372036854775807, '1e300', 0.00001, '3.4028235e38', '1.7976931348623157e308',
     '92233720368547758.07', true, 'abcde', 'twenty characters ok', E'tab\tnew\nline\\N', '\x00ff00',
     '5874897-12-31', '24:00', '24:00-15:59', '294276-12-31 23:59:59.999999',
     '294276-12-31 23:59:59.999999+00', '178000000 years'),
    (3, 0, 0, 0, '-1e-300', 0, '-0', '-0', '0', NULL, 'a', 'a ', ' ', '\x5c', 'infinity', '12:34:56.789012',
     '12:34:56.789012+05:30', 'infinity', '-infinity', '1 year -2 months 3 days -04:05:06.000007'),
    (4, 1, 1, 1, '123456789012345678901234567890.123456789012345678901234567890', 1, '1e-45', '4.9e-324',
     '0.01', true, 'é', 'ß', E'\U0001F600\u200b', '\xdeadbeef', '-infinity', '00:00:00.000001', '00:00:00+00',
     '-infinity', 'infinity', '0'),
    (5, NULL, NULL, NULL, 'Infinity', 1.5, 'Infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL),
    (6, 1, 1, 1, '1.50', 1.5, '0.1', '0.1', '1', true, 'x', 'x', 'NULL', '\x', '2000-02-29', '23:59:60',
     '10:00-08', '2000-01-01 00:00:00', '1900-01-01 00:00:00+00:19:32', '1 mon'),
    (7, 1, 1, 1, '1.5', 1.5, '0.3', '0.30000000000000004', '1', true, 'x', 'x', '\.', '\x0a',
     '1582-10-10', '10:00', '10:00Z', '0001-01-01 00:00:00', '2024-03-31 01:30:00Z', '30 days');
INSERT INTO edges (id, identifier, net, block, mac, document, binary_document, xid8_value, place, area,
                   pattern, patterns, search, range, ranges, many, own, kind, home, homes, kinds, lsn, path,
                   letter, called) VALUES
    (10, '00000000-0000-0000-0000-000000000000', '::1/128', '10.0.0.0/8', '08:00:2b:01:02:03',
     ' {"a" : 1, "a": 2}', '{"a": 1.0, "b": [1e2, "\u00e9"]}', '18446744073709551615', '(1.5,-0)',
     '((0,0),(1,1))', B'10101', B'', '''a'':1 b:2A', 'empty', '[2020-01-01Z,)', '{[1,3), [5,9)}',
     '[1,10]', 'ß', ROW('x', 1, 'y'), ARRAY[ROW('"', NULL, ''), NULL]::address[],
     ARRAY['new', NULL, 'returned; see "note"']::order_status[], 'FFFFFFFF/FFFFFFFF', '$.a[*] ? (@ > 1)',
     'x', 'a name'),
    (11, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '192.168.0.1/24', '::/0', 'ff:ff:ff:ff:ff:ff', 'null', 'null',
     '0', '(NaN,Infinity)', '((-1,-1),(1,1))', B'00000', B'111111111111', '', '(,)', '(,)', '{}', 'empty',
     'A', ROW(NULL, NULL, NULL), '{}', '{}', '0/0', '$', '', '');

INSERT INTO events (kind, detail)
SELECT 'kind ' || n % 5, CASE WHEN n % 2 = 0 THEN jsonb_build_object('n', n) END
FROM generate_series(1, 1000) AS n;
INSERT INTO keyless SELECT n % 20, CASE WHEN n % 3 > 0 THEN 'b' || n % 10 END, NULL
FROM generate_series(1, 300) AS n;
INSERT INTO by_index SELECT 'code ' || n, n FROM generate_series(1, 100) AS n;
INSERT INTO seats SELECT n, n * 3, 'seat ' || n FROM generate_series(1, 200) AS n;
INSERT INTO "Odd Names"."Order Lines; DROP" ("Id", "order", "select", "with ""quotes""", "größe µ")
SELECT n, n % 10, 'select ' || n, CASE WHEN n % 2 = 0 THEN '"' || n END, n / 4.0 FROM generate_series(1, 300) AS n;
INSERT INTO vehicles SELECT n, 4, 'car ' || n FROM generate_series(1, 50) AS n;
INSERT INTO trucks SELECT n, 6, 'truck ' || n, n * 100 FROM generate_series(1001, 1050) AS n;
INSERT INTO notes (owner, text) SELECT CASE WHEN n % 2 = 0 THEN 'shop_app' ELSE 'shop_owner' END, 'note ' || n
FROM generate_series(1, 60) AS n;
SELECT setval('tickets', 5000), nextval('wheel'), nextval('downwards'), nextval('"Odd Names"."Free Sequence"');

INSERT INTO load.accounts SELECT n, 1000 FROM generate_series(0, 15) AS n;
INSERT INTO load.counters SELECT n, 0 FROM generate_series(0, 31) AS n;
INSERT INTO load.swaps SELECT n, n, n FROM generate_series(0, 39) AS n;
INSERT INTO load.growing (token) SELECT -n FROM generate_series(1, 500) AS n;
REFRESH MATERIALIZED VIEW order_counts;
