//! A deterministic data set of every type: what key `i` holds is a pure function of the seed.
//!
//! So it can be seeded in parallel, read by a load that knows each key's type, and checked later
//! against its definition. Layout: `content` is the pure part, `seed` writes it, `big` the few
//! large keys, `verify` reads a sample back.

mod big;
mod content;
mod seed;
mod verify;

pub use content::{Content, Kind};
pub use seed::{Seeded, seed};
pub use verify::verify;

use crate::rng::Rng;

/// Which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dataset {
    /// Number of ordinary keys; the big ones come on top.
    pub keys: u64,
    /// Decides every name, type, value and time to live.
    pub seed: u64,
    /// Whether the big keys are there: a 20 MB string, a 200,000-field hash, a 100,000-member
    /// sorted set, a 50,000-element list.
    pub big_keys: bool,
}

/// The databases the data set lives in.
pub const DATABASES: [i64; 3] = [0, 1, 3];

impl Dataset {
    /// `keys` ordinary keys and the big ones.
    #[must_use]
    pub const fn new(keys: u64, seed: u64) -> Self {
        Self { keys, seed, big_keys: true }
    }

    /// Without the big keys.
    #[must_use]
    pub const fn small(keys: u64, seed: u64) -> Self {
        Self { keys, seed, big_keys: false }
    }

    /// Key `index`: database, name, content and time to live.
    #[must_use]
    pub fn key(&self, index: u64) -> content::Key {
        content::key(self.seed, index)
    }

    /// Database, name and type of key `index`, without making its content.
    #[must_use]
    pub fn name(&self, index: u64) -> (i64, String, Kind) {
        let mut rng = Rng::fork(self.seed, index);
        content::name(&mut rng, index)
    }
}
