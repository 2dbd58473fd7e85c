//! The rules, pure: no lock, no clock, no port.

use std::time::Duration;

use family::{Doubt, Trouble};
use journal::{Cause, key_hash};
use model::{ConflictPolicy, DivergenceClass, Key};

use crate::parts::Config;

/// The `EXO-` code of an absence nobody explained.
pub(crate) const ABSENCE: &str = "EXO-ENG-001";
/// The `EXO-` code of a record that was on the target before us.
pub(crate) const EXISTS: &str = "EXO-ENG-002";

/// Whether an absence on the authority removes the record from the secondary, which has it.
/// Otherwise it is parked and asked about: an evicting, flushed or replaced authority must not
/// be able to empty the other side.
pub(crate) const fn absence_is_explained(cause: Cause, doubt: Option<Doubt>) -> bool {
    match cause {
        Cause::OwnWrite => true,
        Cause::Feed => !is_serious(doubt),
        Cause::Scan => false,
    }
}

/// Whether a doubt concerns the data, not only the connection.
pub(crate) const fn is_serious(doubt: Option<Doubt>) -> bool {
    matches!(doubt, Some(Doubt::Evicted | Doubt::Flushed | Doubt::Replaced))
}

/// What the conflict policy says of a record that history offers and the target has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    Overwrite,
    Keep,
    Refuse,
}

/// Decides about a record that existed on the target before our first copy of it.
pub(crate) const fn conflict(policy: ConflictPolicy) -> Conflict {
    match policy {
        ConflictPolicy::Overwrite => Conflict::Overwrite,
        ConflictPolicy::KeepTarget => Conflict::Keep,
        // `keep_newer` and `merge` are refused before a fill begins.
        ConflictPolicy::Fail | ConflictPolicy::KeepNewer | ConflictPolicy::Merge => {
            Conflict::Refuse
        }
    }
}

/// What to do after a record or its batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this long.
    Later(Duration),
    /// Keep it apart.
    Park,
}

/// The retry table.
pub(crate) fn after(trouble: Trouble, attempts: u32, key: &Key, config: &Config) -> Next {
    match trouble {
        // The network, or a server that is full: it will pass.
        Trouble::Unreachable | Trouble::Protocol | Trouble::Full => {
            Next::Later(backoff(attempts, key, config))
        }
        // An operator has to act first; asking often does not help.
        Trouble::Denied | Trouble::Replaced => Next::Later(config.backoff.1),
        // The record itself: once more, alone, and then it must not hold up others.
        Trouble::Rejected if attempts + 1 < config.reject_attempts => {
            Next::Later(backoff(attempts, key, config))
        }
        Trouble::Rejected | Trouble::Unsupported => Next::Park,
    }
}

/// Whether a failure says something of the whole side, so that its breaker opens.
pub(crate) const fn concerns_the_side(trouble: Trouble) -> bool {
    match trouble {
        Trouble::Unreachable
        | Trouble::Protocol
        | Trouble::Full
        | Trouble::Denied
        | Trouble::Replaced => true,
        Trouble::Rejected | Trouble::Unsupported => false,
    }
}

/// Exponential, with a jitter that differs per key and attempt: half to all of the full delay.
pub(crate) fn backoff(attempts: u32, key: &Key, config: &Config) -> Duration {
    let (first, most) = config.backoff;
    let full = first.saturating_mul(1 << attempts.min(20)).min(most);
    let noise = key_hash(key).0.rotate_left(attempts.wrapping_mul(7)) & 0xff;
    full / 2 + full.mul_f64(noise as f64 / 512.0)
}

/// In what way two records differ, from their masked descriptions (`Reader::describe`: the kind
/// first, the expiry last, separated by commas).
pub(crate) fn classify(authority: (bool, &str), secondary: (bool, &str)) -> DivergenceClass {
    match (authority, secondary) {
        ((true, _), (false, _)) => DivergenceClass::MissingOnTarget,
        ((false, _), _) => DivergenceClass::ExtraOnTarget,
        ((true, a), (true, b)) => {
            let (a, b): (Vec<_>, Vec<_>) = (a.split(", ").collect(), b.split(", ").collect());
            if a.first() != b.first() {
                DivergenceClass::Type
            } else if a.len() > 1 && a.last() != b.last() && a.get(1) == b.get(1) {
                DivergenceClass::Ttl
            } else {
                DivergenceClass::Value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_needs_an_explanation() {
        for doubt in [None, Some(Doubt::ConnectionOnly)] {
            assert!(absence_is_explained(Cause::OwnWrite, doubt));
            assert!(absence_is_explained(Cause::Feed, doubt));
            assert!(!absence_is_explained(Cause::Scan, doubt));
        }
        for doubt in [Doubt::Evicted, Doubt::Flushed, Doubt::Replaced] {
            assert!(absence_is_explained(Cause::OwnWrite, Some(doubt)));
            assert!(!absence_is_explained(Cause::Feed, Some(doubt)));
            assert!(!absence_is_explained(Cause::Scan, Some(doubt)));
        }
    }

    #[test]
    fn the_delay_grows_to_its_bound_and_never_below_half() {
        let config = Config::default();
        let key = Key::new(b"k");
        let delays: Vec<_> = (0..40).map(|n| backoff(n, &key, &config)).collect();
        assert!(delays[0] >= config.backoff.0 / 2 && delays[0] <= config.backoff.0);
        assert!(delays.iter().all(|d| *d <= config.backoff.1));
        assert!(delays[39] >= config.backoff.1 / 2);
    }

    #[test]
    fn a_rejected_record_is_parked_after_its_attempts() {
        let config = Config::default();
        let key = Key::new(b"k");
        let next = |n| after(Trouble::Rejected, n, &key, &config);
        assert!(matches!(next(0), Next::Later(_)));
        assert_eq!(next(config.reject_attempts - 1), Next::Park);
        assert_eq!(after(Trouble::Unsupported, 0, &key, &config), Next::Park);
        assert!(matches!(after(Trouble::Full, 1_000, &key, &config), Next::Later(_)));
    }

    #[test]
    fn classes_follow_the_descriptions() {
        let check = |a: &str, b: &str, expect| {
            assert_eq!(classify((a != "absent", a), (b != "absent", b)), expect, "{a} / {b}");
        };
        check("string, 3 bytes, no expiry", "absent", DivergenceClass::MissingOnTarget);
        check("absent", "string, 3 bytes, no expiry", DivergenceClass::ExtraOnTarget);
        check("hash, 3 fields, no expiry", "string, 3 bytes, no expiry", DivergenceClass::Type);
        check("hash, 3 fields, no expiry", "hash, 3 fields, expires at 9", DivergenceClass::Ttl);
        check("hash, 3 fields, no expiry", "hash, 4 fields, no expiry", DivergenceClass::Value);
        check("hash, 3 fields, no expiry", "hash, 3 fields, no expiry", DivergenceClass::Value);
    }
}
