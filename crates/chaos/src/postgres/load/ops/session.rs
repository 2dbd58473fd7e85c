//! What a session was told stays true for as long as the session lives.

use crate::load::stats::Class;
use crate::postgres::load::client::{Client, Marks, Reply};

/// Asks the session for what it was told, and tells it something else.
pub(crate) fn run(client: &mut Client) {
    let Marks { name, zone, marker } = client.marks.clone();
    let asked = client.alone(Class::Read, |conn| {
        let mut told = Vec::new();
        for setting in ["application_name", "TimeZone", "load.marker", "search_path"] {
            told.push(conn.text(&format!("SHOW {setting}"))?.unwrap_or_default());
        }
        Ok(told)
    });
    let expected = [name, zone.to_owned(), marker, "load, shop".to_owned()];
    if let Reply::Ok(told) = asked
        && told != expected
    {
        client.violation(&format!("the session says {told:?}, it was told {expected:?}"));
    }
    prepared(client);
    let next = format!("client {} after {} writes", client.id, client.sequence());
    match client.rng.below(3) {
        0 => within(client, &next),
        1 => rolled_back(client, &next),
        _ => {
            let sql = format!("SET load.marker = '{next}'");
            // Told only if it was heard; a session that broke begins with what it knew before.
            if let Reply::Ok(()) = client.alone(Class::Read, |conn| conn.batch(&sql)) {
                client.marks.marker = next;
            }
        }
    }
}

/// A SET in a transaction that commits lasts.
fn within(client: &mut Client, next: &str) {
    let sql = format!("SET load.marker = '{next}'");
    let reply = client.transaction(Class::Read, "BEGIN", |conn| {
        conn.batch(&sql)?;
        conn.batch("SET LOCAL TimeZone = 'Pacific/Apia'")?;
        Ok(Some(()))
    });
    if let Reply::Ok(()) = reply {
        next.clone_into(&mut client.marks.marker);
    }
}

/// A SET in a transaction that is rolled back never was.
fn rolled_back(client: &mut Client, next: &str) {
    let sql = format!("SET load.marker = '{next} undone'; SET search_path = pg_catalog");
    let _undone = client.transaction(Class::Read, "BEGIN", |conn| {
        conn.batch(&sql)?;
        Ok(None::<()>)
    });
}

/// A statement that was prepared by SQL is still there.
fn prepared(client: &mut Client) {
    let reply = client.alone(Class::Read, |conn| conn.text("EXECUTE counter_value (1)"));
    if let Reply::Ok(None) = reply {
        client.violation("a counter is missing behind a prepared statement");
    }
}
