//! An application at work on everything the schema holds. What comes of it is for the comparison
//! of both sides to judge; here every statement has to meet the rows that it names.

use crate::load::stats::Class;
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::client::{Client, Reply};

/// A statement with `{n}` for a number, and whether it has to meet a row: one that locks a row
/// without a key may find that it has moved.
type Change = (&'static str, bool);

const CHANGES: [Change; 15] = [
    // Triggers write audit rows; a cascade goes with the second.
    (
        "UPDATE orders SET status = CASE status WHEN 'new' THEN 'paid'::order_status ELSE 'new' END, \
      tags = tags[1:3] || 'changed'::text WHERE id = 1 + {n} % 6000",
        true,
    ),
    ("UPDATE customers SET name = 'Customer ' || id || ' ' || {n} WHERE id = 1 + {n} % 2000", true),
    // The text outside of the row stays as it is.
    (
        "UPDATE documents SET version = version + 1 WHERE id = md5('document ' || 1 + {n} % 80)::uuid",
        true,
    ),
    (
        "UPDATE documents SET title = right(title || '.', 60), extern = NULL \
      WHERE id = md5('document ' || 1 + {n} % 80)::uuid",
        true,
    ),
    ("INSERT INTO events (kind, detail) VALUES ('load', '{\"n\": {n}}')", true),
    // From one partition to another.
    (
        "UPDATE measurements SET day = CASE WHEN day >= '2100-01-01' THEN day - 50000 ELSE day + 50000 END \
      WHERE sensor = {n} % 4 AND day IN (date '2023-11-01' + {n} % 900, \
      date '2023-11-01' + {n} % 900 + 50000)",
        true,
    ),
    ("UPDATE stock SET pieces = pieces + 1 WHERE article = 1 + {n} % 600", true),
    (
        "UPDATE keyless SET c = right(coalesce(c, '') || 'x', 50) WHERE ctid = \
      (SELECT ctid FROM keyless WHERE a = {n} % 20 LIMIT 1 FOR UPDATE)",
        false,
    ),
    ("UPDATE by_index SET value = value + 1 WHERE code = 'code ' || 1 + {n} % 100", true),
    (
        "UPDATE \"Odd Names\".\"Order Lines; DROP\" SET \"order\" = \"order\" + 1, \
      \"with \"\"quotes\"\"\" = 'q\"' || {n} WHERE \"Id\" = 1 + {n} % 300",
        true,
    ),
    (
        "UPDATE edges SET large = {n}, line = repeat('é', {n} % 3000), document = '[{n}]' WHERE id = 6",
        true,
    ),
    ("UPDATE vehicles SET wheels = wheels + 1 WHERE id = 1001 + {n} % 50", true),
    ("UPDATE big SET amount = amount + 1 WHERE id = (SELECT max(id) FROM big)", true),
    ("INSERT INTO notes (text) VALUES ('of the load {n}')", true),
    ("INSERT INTO columnless DEFAULT VALUES", true),
];

pub(crate) fn run(client: &mut Client) {
    let n = client.rng.below(1_000_000);
    match client.rng.below(20) {
        0..15 => {
            let (sql, certain) = CHANGES[client.rng.below(CHANGES.len() as u64) as usize];
            let sql = sql.replace("{n}", &n.to_string());
            let reply = client.alone(Class::Write, |conn| met(conn, &sql));
            if let Reply::Ok(met) = reply
                && met != 1
                && (certain || met != 0)
            {
                client.violation(&format!("{met} rows met by {sql}"));
            }
        }
        15..18 => order(client, n),
        18 => relabel(client, n),
        _ => {
            let _ticket = client.alone(Class::Write, |conn| conn.text("SELECT nextval('tickets')"));
        }
    }
}

/// By the simple protocol, counted through a row that says how many.
fn met(conn: &mut Conn, sql: &str) -> Result<u64, Fault> {
    let rows = conn.text(&format!("WITH met AS ({sql} RETURNING 1) SELECT count(*) FROM met"))?;
    Ok(rows.and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// An order whose lines come first: their key to it is checked at the end.
fn order(client: &mut Client, n: u64) {
    let n = n as i64;
    let gone = client.rng.percent(40);
    let _order = client.transaction(Class::Write, "BEGIN", |conn| {
        if gone {
            // An old one of the load goes, its lines with it.
            let sql = "DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE id > 6000 \
                       ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)";
            conn.execute(sql, &[])?;
        }
        let id = conn.query("SELECT nextval('orders_id_seq')::integer", &[])?;
        let id: i32 = id.first().map_or(0, |row| row.get(0));
        let sql = "INSERT INTO order_lines (\"order\", line, article, amount, unit) \
                   SELECT $1, n, 'article ' || $2::bigint % 97, n / 3.0, n FROM generate_series(1, 3) AS n";
        conn.execute(sql, &[&id, &n])?;
        let sql = "INSERT INTO orders (id, customer, tags, document, total) VALUES \
                   ($1, 1 + $2::bigint % 2000, ARRAY['load'], jsonb_build_object('n', $2::bigint), 1)";
        conn.execute(sql, &[&id, &n])?;
        Ok(Some(()))
    });
}

/// Labels that are unique at the end of the transaction only, and seats that move within gaps.
fn relabel(client: &mut Client, n: u64) {
    let (one, other) = ((1 + n % 200) as i32, (1 + (n + 1) % 200) as i32);
    let (low, high) = (one.min(other), one.max(other));
    let _labels = client.transaction(Class::Write, "BEGIN", |conn| {
        let sql = "SELECT id FROM seats WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
        conn.query(sql, &[&low, &high])?;
        let sql =
            "UPDATE seats AS s SET label = o.label FROM seats AS o WHERE s.id = $1 AND o.id = $2";
        let first = conn.query("SELECT label FROM seats WHERE id = $1", &[&low])?;
        let first: String = first.first().map(|row| row.get(0)).unwrap_or_default();
        conn.execute(sql, &[&low, &high])?;
        conn.execute("UPDATE seats SET label = $1 WHERE id = $2", &[&first, &high])?;
        Ok(Some(()))
    });
}
