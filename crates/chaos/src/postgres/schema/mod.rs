//! A database with every hard thing in it, and its rows.
//!
//! Constraints: made by the owner's role through ordinary SQL; its size is one number; what is
//! volatile (times, random numbers, identifiers) differs from run to run.
//!
//! Layout: `types.sql`, `tables.sql`, `load.sql` (what the load works on), `rows.sql`,
//! `grants.sql`.

use std::time::{Duration, Instant};

use super::conn::{Conn, Fault};
use super::servers::PgServer;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgDataset {
    /// Rows of the large table.
    pub rows: u64,
}

/// What was made.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    /// Rows of all tables.
    pub rows: u64,
    /// Tables, partitions counted one by one.
    pub tables: u64,
    /// How long it took.
    pub took: Duration,
}

/// Filling the large table may take this long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Rows of the large table per statement, so that none is longer than the others.
const PIECE: u64 = 250_000;

/// Makes the schema, its rows and the application's rights.
pub fn seed(server: &PgServer, dataset: &PgDataset) -> Result<Seeded, Fault> {
    let began = Instant::now();
    let mut owner = Conn::open(&server.owner(), PATIENCE)?;
    definition(&mut owner)?;
    owner.batch(include_str!("rows.sql"))?;
    let mut first = 1;
    while first <= dataset.rows {
        let last = dataset.rows.min(first + PIECE - 1);
        owner.batch(&format!(
            "INSERT INTO shop.big SELECT n, n * 7919 % 100003, n % 1000 - 500, \
             chr(97 + (n % 26)::int)::\"char\" FROM generate_series({first}::bigint, {last}) AS n"
        ))?;
        first = last + 1;
    }
    owner.batch("VACUUM ANALYZE shop.big")?;
    let (rows, tables) = size(&mut owner)?;
    Ok(Seeded { rows, tables, took: began.elapsed() })
}

/// The schema and the application's rights, without any row.
pub fn definition(owner: &mut Conn) -> Result<(), Fault> {
    for part in [
        include_str!("types.sql"),
        include_str!("tables.sql"),
        include_str!("load.sql"),
        include_str!("grants.sql"),
    ] {
        owner.batch(part)?;
    }
    Ok(())
}

/// Rows and tables.
fn size(owner: &mut Conn) -> Result<(u64, u64), Fault> {
    let tables = owner.simple(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND n.nspname IN ('shop', 'load', 'Odd Names')",
    )?;
    let mut rows = 0;
    for table in tables.iter().flatten().flatten() {
        let counted = owner.text(&format!("SELECT count(*) FROM ONLY {table}"))?;
        rows += counted.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok((rows, tables.len() as u64))
}
