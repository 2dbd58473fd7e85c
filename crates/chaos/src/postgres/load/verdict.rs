//! What a fault means for a write: certainly not applied, or nobody knows.

use crate::postgres::conn::Fault;

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A statement that commits by itself.
    Alone,
    /// In a transaction, its COMMIT not sent.
    Inside,
    /// COMMIT was sent.
    Commit,
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not applied.
    No,
    /// Not applied, and the database asks for another try.
    Again,
    /// Applied or not.
    Unknown,
}

/// Serialization failure and deadlock: what applications are told to try again.
const AGAIN: [&str; 2] = ["40001", "40P01"];
/// Transaction resolution unknown, statement completion unknown.
const UNKNOWN: [&str; 2] = ["08007", "40003"];

pub(super) fn meaning(fault: &Fault, phase: Phase) -> Meaning {
    match fault {
        Fault::NotSent(_) => Meaning::No,
        Fault::Broken(_) if phase == Phase::Inside => Meaning::No,
        Fault::Broken(_) => Meaning::Unknown,
        Fault::Refused { state, .. } if UNKNOWN.contains(&state.as_str()) => Meaning::Unknown,
        Fault::Refused { state, .. } if AGAIN.contains(&state.as_str()) => Meaning::Again,
        Fault::Refused { fatal: true, .. } if phase != Phase::Inside => Meaning::Unknown,
        Fault::Refused { .. } => Meaning::No,
    }
}

/// Whether the connection is of no use any more.
pub(super) fn ends(fault: &Fault) -> bool {
    matches!(fault, Fault::Broken(_) | Fault::NotSent(_) | Fault::Refused { fatal: true, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(state: &str, fatal: bool) -> Fault {
        Fault::Refused { state: state.to_owned(), fatal, text: String::new() }
    }

    #[test]
    fn only_what_was_on_its_way_is_unknown() {
        let broken = Fault::Broken(String::new());
        assert_eq!(meaning(&broken, Phase::Inside), Meaning::No);
        assert_eq!(meaning(&broken, Phase::Commit), Meaning::Unknown);
        assert_eq!(meaning(&broken, Phase::Alone), Meaning::Unknown);
        assert_eq!(meaning(&Fault::NotSent(String::new()), Phase::Alone), Meaning::No);
        assert_eq!(meaning(&refused("40001", false), Phase::Commit), Meaning::Again);
        assert_eq!(meaning(&refused("23505", false), Phase::Commit), Meaning::No);
        assert_eq!(meaning(&refused("08007", false), Phase::Commit), Meaning::Unknown);
        assert_eq!(meaning(&refused("57P01", true), Phase::Commit), Meaning::Unknown);
        assert_eq!(meaning(&refused("57P01", true), Phase::Inside), Meaning::No);
        assert!(ends(&refused("57P01", true)) && !ends(&refused("23505", false)));
    }
}
