//! Reads of every shape, with what can be known about their answers.

use super::bank;
use crate::load::stats::Class;
use crate::postgres::conn::{Conn, Fault};
use crate::postgres::load::client::{Client, Reply};

pub(crate) fn run(client: &mut Client) {
    match client.rng.below(100) {
        0..15 => bank::sum(client),
        15..40 => range(client),
        40..50 => cursor(client),
        50..60 => snapshot(client),
        _ => {
            let n = client.rng.below(1_000_000);
            let index = client.rng.below(QUERIES.len() as u64) as usize;
            let sql = QUERIES[index].replace("{n}", &n.to_string());
            let _rows = client.alone(Class::Read, |conn| conn.simple(&sql));
        }
    }
}

const QUERIES: [&str; 8] = [
    "SELECT o.*, c.name, c.home FROM orders o JOIN customers c ON c.id = o.customer \
     WHERE o.id = 1 + {n} % 6000",
    "SELECT * FROM open_orders WHERE id < 1 + {n} % 50 ORDER BY id",
    "SELECT id, length(body), picture, version FROM documents \
     WHERE id = md5('document ' || 1 + {n} % 80)::uuid",
    "SELECT * FROM edges WHERE id = 1 + {n} % 11",
    "SELECT day, avg(value) FROM measurements WHERE sensor = {n} % 4 GROUP BY day ORDER BY day LIMIT 20",
    "SELECT \"Id\", \"order\", \"with \"\"quotes\"\"\" FROM \"Odd Names\".\"Order Lines; DROP\" \
     WHERE \"Id\" <= {n} % 300 ORDER BY \"Id\" DESC LIMIT 10",
    "SELECT customer, orders FROM order_counts WHERE customer = 1 + {n} % 2000",
    "SELECT id FROM orders WHERE document @> '{\"n\": {n}}'",
];

/// Rows of the large table are a function of their key.
fn range(client: &mut Client) {
    let rows = client.shared.config.rows;
    let first = 1 + client.rng.below(rows) as i64;
    let reply =
        client.alone(Class::Read, |conn| {
            let sql = "SELECT id, account, amount, state::text FROM big \
                   WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 20";
            // The last row is counted up by the load.
            let rows = conn.query(sql, &[&first, &(rows as i64)])?;
            Ok(rows
                .iter()
                .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
                .collect::<Vec<(i64, i32, i32, String)>>())
        });
    let Reply::Ok(found) = reply else { return };
    let due = (rows as i64 - first).clamp(0, 20);
    if found.len() as i64 != due {
        let n = found.len();
        client.violation(&format!("big: {n} rows from {first} on, {due} are due"));
    }
    for (n, (id, account, amount, state)) in found.iter().enumerate() {
        let right = *id == first + n as i64
            && i64::from(*account) == id * 7_919 % 100_003
            && i64::from(*amount) == id % 1_000 - 500
            && state.as_bytes() == [97 + (id % 26) as u8];
        if !right {
            client
                .violation(&format!("big: ({id}, {account}, {amount}, {state}) is not as seeded"));
        }
    }
}

/// A cursor in a transaction, fetched page by page.
fn cursor(client: &mut Client) {
    let reply = client.transaction(Class::Read, "BEGIN READ ONLY", |conn| {
        conn.batch("DECLARE \"pages\" CURSOR FOR SELECT id FROM customers ORDER BY id")?;
        let mut last = 0;
        let mut backwards = false;
        for _ in 0..3 {
            for row in conn.simple("FETCH FORWARD 20 FROM \"pages\"")? {
                let id = row.first().cloned().flatten().and_then(|id| id.parse::<i64>().ok());
                let id = id.unwrap_or(0);
                backwards |= id <= last;
                last = id;
            }
        }
        conn.batch("CLOSE \"pages\"")?;
        Ok(Some(backwards))
    });
    if let Reply::Ok(true) = reply {
        client.violation("a cursor in order goes backwards");
    }
}

/// Two looks in one snapshot see the same.
fn snapshot(client: &mut Client) {
    let look = |conn: &mut Conn| -> Result<(i64, i64, i64), Fault> {
        let sql = "SELECT (SELECT sum(value) FROM counters)::bigint, \
                   (SELECT count(*) FROM transfers), (SELECT count(*) FROM account_audit)";
        let rows = conn.query(sql, &[])?;
        let row = rows.first();
        Ok(row.map_or((0, 0, 0), |row| (row.get(0), row.get(1), row.get(2))))
    };
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let reply = client.transaction(Class::Read, begin, |conn| Ok(Some((look(conn)?, look(conn)?))));
    let Reply::Ok((first, second)) = reply else { return };
    if first != second {
        client.violation(&format!("one snapshot shows {first:?}, then {second:?}"));
    }
    // Two accounts change per transfer, each with its row of audit.
    if first.2 != first.1 * 2 {
        client.violation(&format!("{} transfers left {} rows of audit", first.1, first.2));
    }
}
