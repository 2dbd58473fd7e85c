//! What everything of ours is called on both systems.

use model::Side;
use xxhash_rust::xxh3::xxh3_64;

/// A server cuts names there (`NAMEDATALEN - 1`).
const NAME_BYTES_MAX: usize = 63;
/// What a run may use of a slot's name: the prefix, the direction and a separator come on top.
const RUN_BYTES_MAX: usize = 48;

/// The schema that holds our tables. Nothing in it is ever published.
pub(crate) const SCHEMA: &str = "exodus";

/// Names of one direction of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The run as configured.
    pub(crate) run: String,
    /// `f` from the source to the target, `r` back.
    pub(crate) direction: &'static str,
    /// The replication slot.
    pub(crate) slot: String,
    /// The publication of tables whose rows can be identified.
    pub(crate) publication: String,
    /// The publication of tables whose rows cannot: inserts and truncates only.
    pub(crate) inserts: String,
    /// Prefix of the message that marks a transaction as applied by us, in either direction.
    pub(crate) marker: String,
}

impl Names {
    /// Of the direction that follows this side.
    pub(crate) fn new(run: &str, followed: Side) -> Self {
        let direction = match followed {
            Side::Source => "f",
            Side::Target => "r",
        };
        let plain = plain(run);
        let name = |end: &str| {
            let name = format!("exodus_{plain}{end}");
            debug_assert!(name.len() <= NAME_BYTES_MAX);
            name
        };
        Self {
            run: run.to_owned(),
            direction,
            slot: name(&format!("_{direction}")),
            publication: name(""),
            inserts: name("_ins"),
            marker: format!("exodus-applied:{run}"),
        }
    }

    /// Two numbers for the advisory lock that only the one applier of this direction holds.
    pub(crate) fn lock(&self) -> (i32, i32) {
        let hash = xxh3_64(format!("{}:{}", self.run, self.direction).as_bytes()).to_be_bytes();
        let half =
            |at: usize| i32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
        (half(0), half(4))
    }
}

/// A run as part of a name: slots allow lower case letters, digits and underscores. What had to
/// be changed or cut gets a hash, so that two runs never share a name.
pub(crate) fn plain(run: &str) -> String {
    let keep = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if run.len() <= RUN_BYTES_MAX && !run.is_empty() && run.chars().all(keep) {
        return run.to_owned();
    }
    let hash = format!("{:016x}", xxh3_64(run.as_bytes()));
    let front = run.chars().map(|c| match c.to_ascii_lowercase() {
        c if keep(c) => c,
        _ => '_',
    });
    let front: String = front.take(RUN_BYTES_MAX - hash.len() - 1).collect();
    format!("{front}_{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_is_kept() {
        let names = Names::new("orders_2", Side::Source);
        assert_eq!(names.slot, "exodus_orders_2_f");
        assert_eq!(names.publication, "exodus_orders_2");
        assert_eq!(names.marker, "exodus-applied:orders_2");
        assert_eq!(Names::new("orders_2", Side::Target).slot, "exodus_orders_2_r");
        assert_ne!(names.lock(), Names::new("orders_2", Side::Target).lock());
    }

    #[test]
    fn any_run_makes_a_name_that_servers_take_and_that_is_its_own() {
        let long = "x".repeat(200);
        let runs = ["Orders-2", "orders-2", "orders_2", "", "ä", &long, &format!("{long}y")];
        let mut seen = std::collections::BTreeSet::new();
        for run in runs {
            let names = Names::new(run, Side::Source);
            for name in [&names.slot, &names.publication, &names.inserts] {
                assert!(name.len() <= NAME_BYTES_MAX, "{name}");
                let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                assert!(name.chars().all(fine), "{name}");
                assert!(seen.insert(name.clone()), "{name} twice");
            }
        }
    }
}
