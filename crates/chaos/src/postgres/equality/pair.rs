//! Both sides, asked at once.

use std::time::Duration;

use crate::postgres::conn::{Conn, Fault, PgAddress};

/// A digest of a large table takes a while.
const PATIENCE: Duration = Duration::from_secs(300);

/// How values become text, whatever the servers' own settings are.
const SETTINGS: &str = "SET search_path = ''; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
     SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1; \
     SET lc_monetary = 'C'; SET statement_timeout = 0; SET row_security = off; \
     SET default_transaction_read_only = on";

pub(super) struct Pair {
    pub(super) left: Conn,
    pub(super) right: Conn,
    /// Whether both are of the same major version.
    pub(super) same_major: bool,
}

impl Pair {
    pub(super) fn open(left: &PgAddress, right: &PgAddress) -> Result<Self, Fault> {
        let (mut left, mut right) = (side(left)?, side(right)?);
        let same_major = major(&mut left)? == major(&mut right)?;
        Ok(Self { left, right, same_major })
    }

    /// Asks both, each on a thread of its own.
    pub(super) fn both<T: Send>(
        &mut self,
        ask: impl Fn(&mut Conn) -> Result<T, Fault> + Sync,
    ) -> Result<(T, T), Fault> {
        let Self { left, right, .. } = self;
        std::thread::scope(|scope| {
            let right = scope.spawn(|| ask(right));
            let left = ask(left);
            let right = right.join().unwrap_or_else(|_| Err(Fault::Broken("a panic".to_owned())));
            Ok((left?, right?))
        })
    }
}

fn side(address: &PgAddress) -> Result<Conn, Fault> {
    let mut conn = Conn::open(address, PATIENCE)?;
    conn.batch(SETTINGS)?;
    Ok(conn)
}

fn major(conn: &mut Conn) -> Result<u32, Fault> {
    let version = conn.text("SHOW server_version_num")?.and_then(|v| v.parse::<u32>().ok());
    Ok(version.unwrap_or(0) / 10_000)
}
