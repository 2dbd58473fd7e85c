//! Reads of the seeded data, of the right type for each key, so that an application that only
//! reads is there too.

use redis::{Cmd, cmd};

use crate::dataset::{Dataset, Kind};
use crate::load::client::{Client, Reply};
use crate::load::ledger;
use crate::load::stats::Class;

/// Reads something.
pub(in crate::load) fn run(client: &mut Client, dataset: Option<Dataset>) {
    let command = match dataset {
        Some(data) if data.keys > 0 && client.rng.percent(80) => of_dataset(client, &data),
        _ => of_load(client),
    };
    if let Some(command) = command {
        let reply = client.call(Class::Read, &command);
        if let Reply::No(text) = reply
            && text.contains("WRONGTYPE")
        {
            client.violation(format!("a read found another type: {text}"));
        }
    }
}

fn of_dataset(client: &mut Client, data: &Dataset) -> Option<Cmd> {
    // A few tries to hit a key in the client's own database: it never changes database.
    let (name, kind) = (0..8).find_map(|_| {
        let (db, name, kind) = data.name(client.rng.below(data.keys));
        (db == i64::from(client.db)).then_some((name, kind))
    })?;
    let (verb, tail): (&str, &[&str]) = match kind {
        Kind::String => ("GET", &[]),
        Kind::List => ("LRANGE", &["0", "9"]),
        Kind::Set => ("SMEMBERS", &[]),
        Kind::Hash => ("HGETALL", &[]),
        Kind::ZSet => ("ZRANGE", &["0", "9", "WITHSCORES"]),
        Kind::Stream => ("XRANGE", &["-", "+", "COUNT", "5"]),
        Kind::Hyperloglog => ("STRLEN", &[]),
        Kind::Bitmap => ("BITCOUNT", &[]),
        Kind::Geo => ("GEOPOS", &["place:0"]),
    };
    let mut c = cmd(verb);
    c.arg(name).arg(tail);
    Some(c)
}

fn of_load(client: &mut Client) -> Option<Cmd> {
    let index = client.rng.below(8) as u32;
    let (verb, kind, tail): (&str, ledger::Kind, &[&str]) = match client.rng.below(5) {
        0 => ("LRANGE", ledger::Kind::ListPush, &["-5", "-1"]),
        1 => ("SCARD", ledger::Kind::SetAdd, &[]),
        2 => ("ZCARD", ledger::Kind::ZAdd, &[]),
        3 => ("XLEN", ledger::Kind::StreamAdd, &[]),
        _ => ("TTL", ledger::Kind::Incr, &[]),
    };
    let mut c = cmd(verb);
    c.arg(client.names.key(kind, index)).arg(tail);
    Some(c)
}
