//! Writes that are one statement: a ledger, counters that cannot be repeated, COPY.

use crate::load::stats::Class;
use crate::postgres::load::COUNTERS;
use crate::postgres::load::client::{Client, Reply, number};
use crate::postgres::load::ledger::Kind;

/// The first fifteen digits of a UUID as a number, as the ledger keeps it.
pub(crate) fn folded(uuid: &str) -> i64 {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(15).collect();
    i64::from_str_radix(&digits, 16).unwrap_or(-1)
}

/// A row to which the database gives an id and a random value; both are remembered.
pub(in crate::postgres::load) fn insert(client: &mut Client) {
    let token = client.token();
    let value = number(token);
    let note = format!("note of {token}");
    let simple = client.rng.percent(30);
    let reply = client.alone(Class::Write, |conn| {
        if simple {
            let rows = conn.simple(&format!(
                "INSERT INTO ledger (token, note) VALUES ({value}, '{note}') RETURNING id, code"
            ))?;
            let field = |n: usize| rows.first().and_then(|r| r.get(n).cloned().flatten());
            let id = field(0).and_then(|id| id.parse().ok()).unwrap_or(-1);
            return Ok((id, folded(&field(1).unwrap_or_default())));
        }
        let sql = "INSERT INTO ledger (token, note) VALUES ($1, $2) RETURNING id, code::text";
        let rows = conn.query(sql, &[&value, &note])?;
        Ok(rows.first().map_or((-1, -1), |row| (row.get(0), folded(row.get(1)))))
    });
    let (id, code) = if let Reply::Ok(given) = reply { given } else { (0, 0) };
    client.record(Kind::Insert, (0, 0), token, code, (id, reply.outcome()));
}

/// A counter by a few; once is right, twice is not.
pub(in crate::postgres::load) fn count(client: &mut Client) {
    let token = client.token();
    let key = client.rng.below(u64::from(COUNTERS)) as u32;
    let amount = client.rng.range(1, 5) as i64;
    let id = key as i32;
    let once = client.rng.percent(10);
    let sql = "UPDATE counters SET value = value + $1 WHERE id = $2 RETURNING value";
    let reply = client.alone(Class::Write, |conn| {
        let rows = if once {
            conn.query_once(sql, &[&amount, &id])?
        } else {
            conn.query(sql, &[&amount, &id])?
        };
        Ok(rows.first().map_or(-1, |row| row.get::<_, i64>(0)))
    });
    let held = if let Reply::Ok(held) = reply { held } else { 0 };
    client.record(Kind::Counter, (key, 0), token, amount, (held, reply.outcome()));
}

/// Rows by COPY: all of them or none.
pub(in crate::postgres::load) fn copy(client: &mut Client) {
    let token = client.token();
    let rows = client.rng.range(1, 40);
    let value = number(token);
    let text: String = (0..rows).map(|n| format!("{value}\t{n}\tpayload\\t{n} \\N é\n")).collect();
    let wide = client.rng.percent(10);
    let reply = client.alone(Class::Write, |conn| {
        if wide {
            // The same by one INSERT, for a change.
            let rows = i32::try_from(rows).unwrap_or(0);
            let sql = "INSERT INTO copied SELECT $1, n, repeat('payload ', 40) \
                       FROM generate_series(0, $2 - 1) AS n";
            return conn.execute(sql, &[&value, &rows]);
        }
        conn.copy_in("COPY copied (token, n, payload) FROM STDIN", text.clone())
    });
    if let Reply::Ok(taken) = reply
        && taken != rows
    {
        client.violation(&format!("COPY of {rows} rows was answered {taken}"));
    }
    client.record(Kind::Copy, (0, 0), token, rows as i64, (0, reply.outcome()));
}
