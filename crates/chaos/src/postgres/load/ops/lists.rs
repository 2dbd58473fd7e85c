//! Serializable transactions that append to lists and read others. What is appended is unique, so
//! a list tells its whole history, and reads tell which transaction came before which.

use crate::load::stats::Class;
use crate::postgres::load::LISTS;
use crate::postgres::load::client::{Client, Reply, number};
use crate::postgres::load::ledger::ListTransaction;

/// Transactions of a client after which it goes on to other lists.
const ROTATE: u64 = 250;

pub(crate) fn run(client: &mut Client) {
    let token = client.token();
    let page = (client.sequence() / ROTATE) as u32 * LISTS;
    let mut pick = || page + client.rng.below(u64::from(LISTS)) as u32;
    let plan: Vec<u32> = vec![pick(), pick(), pick()];
    let (reads_first, appends) = (client.rng.percent(50), client.rng.range(1, 3) as usize);
    // Two appends to the same list need two values.
    let values: Vec<(u32, i64)> = plan
        .iter()
        .take(appends)
        .zip(0_i64..)
        .map(|(list, n)| (*list, number(token) * 4 + n))
        .collect();
    let others = plan[appends..].to_vec();
    let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    let reply = client.transaction(Class::Write, begin, |conn| {
        let mut reads = Vec::new();
        let mut read = |conn: &mut crate::postgres::conn::Conn| {
            for list in &others {
                let sql = "SELECT items FROM lists WHERE id = $1";
                let rows = conn.query(sql, &[&(*list as i32)])?;
                let items: Vec<i64> = rows.first().map(|row| row.get(0)).unwrap_or_default();
                reads.push((*list, items));
            }
            Ok(())
        };
        if reads_first {
            read(conn)?;
        }
        for (list, value) in &values {
            let sql = "INSERT INTO lists (id, items) VALUES ($1, ARRAY[$2::bigint]) \
                       ON CONFLICT (id) DO UPDATE SET items = lists.items || $2::bigint";
            conn.execute(sql, &[&(*list as i32), value])?;
        }
        if !reads_first {
            read(conn)?;
        }
        Ok(Some(reads))
    });
    let outcome = reply.outcome();
    // Where a list is read after an append to it, the checker has to see both in that order.
    let reads = if let Reply::Ok(reads) = reply { reads } else { Vec::new() };
    client.ledger.lists.push(ListTransaction { token, appends: values, reads, outcome });
}
