//! Writing the data set: pipelined, by a few threads, each with its own range of keys.

use std::time::{Duration, Instant};

use redis::{Cmd, cmd};

use super::{Dataset, big};
use crate::conn::{Address, Conn, Fault};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Keys, the big ones included.
    pub keys: u64,
    /// How long it took.
    pub took: Duration,
}

const THREADS: u64 = 3;
const BATCH_KEYS: u64 = 256;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Writes the whole data set. Keys of the same name are replaced or added to, so seed an empty
/// server.
pub fn seed(dataset: &Dataset, address: &Address) -> Result<Seeded, Fault> {
    let start = Instant::now();
    let share = dataset.keys.div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|t| {
                let (from, to) = (t * share, ((t + 1) * share).min(dataset.keys));
                scope.spawn(move || seed_range(dataset, address, from, to))
            })
            .collect();
        workers.into_iter().try_for_each(|w| match w.join() {
            Ok(result) => result,
            Err(_) => Err(Fault::Unknown("a seeding thread panicked".to_owned())),
        })
    })?;
    let mut keys = dataset.keys;
    if dataset.big_keys {
        keys += big::seed(dataset.seed, &mut Conn::open(address, 0, TIMEOUT)?)?;
    }
    Ok(Seeded { keys, took: start.elapsed() })
}

fn seed_range(dataset: &Dataset, address: &Address, from: u64, to: u64) -> Result<(), Fault> {
    let mut conn = Conn::open(address, 0, TIMEOUT)?;
    let mut next = from;
    while next < to {
        let end = (next + BATCH_KEYS).min(to);
        let mut keys: Vec<_> = (next..end).map(|i| dataset.key(i)).collect();
        keys.sort_by_key(|k| k.db);
        let mut commands: Vec<Cmd> = Vec::new();
        let mut selected = None;
        for key in &keys {
            if selected != Some(key.db) {
                let mut select = cmd("SELECT");
                select.arg(key.db);
                commands.push(select);
                selected = Some(key.db);
            }
            commands.extend(key.commands());
        }
        conn.batch_ok(&commands)?;
        next = end;
    }
    Ok(())
}
