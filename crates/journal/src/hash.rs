//! A hash for keys: fast, and seeded per process, since clients choose the keys.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A map by key.
pub(crate) type KeyMap<V> = HashMap<model::Key, V, Seeded>;

/// Makes hashers of one seed.
#[derive(Clone, Copy)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        // From the operating system, once.
        static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
        Self(*SEED)
    }
}

impl BuildHasher for Seeded {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0)
    }
}

pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // The length before the bytes; they are hashed with their length anyway.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use model::Key;

    use super::*;

    #[test]
    fn equal_keys_hash_alike_and_others_do_not() {
        let hasher = Seeded::default();
        let hash = |text: &str| hasher.hash_one(Key::new(text.as_bytes()));
        assert_eq!(hash("a"), hash("a"));
        assert_eq!(hasher.hash_one(&b"a"[..]), hash("a"), "a map is asked by bytes as well");
        assert!(["", "b", "a\0", "aa"].iter().all(|other| hash(other) != hash("a")));
    }
}
