//! Names of prepared transactions: `exo:<run>:<epoch>:<boot>:<participants>:<system>:<number>`.
//!
//! A name is all that a recoverer finds. It says whose it is, who may still be working on it, where
//! its decision is written and on which system, so that nobody asks the wrong database. Names are
//! compared and stored as they were found, never in a form made anew; only the form we write is
//! taken for ours.

use std::fmt;
use std::str::FromStr;

use model::{Epoch, Side};

/// Longest name a server takes: `GIDSIZE` counts its final zero
/// (<https://github.com/postgres/postgres/blob/REL_18_0/src/include/access/xact.h#L31>).
pub const GID_BYTES_MAX: usize = 199;
/// What every name of ours begins with.
pub(super) const OURS: &str = "exo:";

/// Who takes part: where the decision is written, and who prepares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Participants {
    /// Where the decision is written.
    pub authority: Side,
    /// The authority prepares too.
    pub symmetric: bool,
}

impl Participants {
    const fn as_str(self) -> &'static str {
        match (self.authority, self.symmetric) {
            (Side::Source, false) => "s-t",
            (Side::Source, true) => "s-st",
            (Side::Target, false) => "t-s",
            (Side::Target, true) => "t-st",
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (authority, prepared) = text.split_once('-')?;
        let authority = match authority {
            "s" => Side::Source,
            "t" => Side::Target,
            _ => return None,
        };
        let read = Self { authority, symmetric: prepared == "st" };
        (read.as_str() == text).then_some(read)
    }
}

/// The name of a transaction that is prepared somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gid {
    /// The migration.
    pub run: String,
    /// Under which answer to "who decides" it began.
    pub epoch: Epoch,
    /// The life of the node whose coordinator it is.
    pub boot: String,
    /// Who takes part.
    pub participants: Participants,
    /// `system_identifier` of the authority.
    pub system: u64,
    /// Counts within one boot.
    pub number: u64,
}

/// A name that is not ours, or cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongGid {
    /// Does not begin as ours do.
    #[error("the name is not ours")]
    Foreign,
    /// Begins as ours do and goes on otherwise.
    #[error("the name begins as ours do, but cannot be read")]
    Garbled,
    /// More than [`GID_BYTES_MAX`] bytes.
    #[error("the name is too long for a prepared transaction")]
    TooLong,
}

impl Gid {
    /// Checks that a server takes the name and that it can be read again.
    ///
    /// # Errors
    /// When it is too long, or run or boot contain what separates the parts.
    pub fn checked(self) -> Result<Self, WrongGid> {
        let text = self.to_string();
        if text.len() > GID_BYTES_MAX {
            return Err(WrongGid::TooLong);
        }
        if text.parse() != Ok(self.clone()) {
            return Err(WrongGid::Garbled);
        }
        Ok(self)
    }

    /// How all names of a run begin.
    #[must_use]
    pub fn prefix(run: &str) -> String {
        format!("{OURS}{run}:")
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, epoch, boot, participants, system, number } = self;
        write!(f, "{OURS}{run}:{epoch}:{boot}:{}:{system}:{number}", participants.as_str())
    }
}

impl FromStr for Gid {
    type Err = WrongGid;

    fn from_str(text: &str) -> Result<Self, WrongGid> {
        let rest = text.strip_prefix(OURS).ok_or(WrongGid::Foreign)?;
        if text.len() > GID_BYTES_MAX {
            return Err(WrongGid::TooLong);
        }
        let mut parts = rest.split(':');
        let mut next = || parts.next().ok_or(WrongGid::Garbled);
        let gid = Self {
            run: word(next()?)?,
            epoch: Epoch(number(next()?)?),
            boot: word(next()?)?,
            participants: Participants::read(next()?).ok_or(WrongGid::Garbled)?,
            system: number(next()?)?,
            number: number(next()?)?,
        };
        if parts.next().is_some() { Err(WrongGid::Garbled) } else { Ok(gid) }
    }
}

/// What may stand between two colons: nothing that needs quoting anywhere.
fn word(text: &str) -> Result<String, WrongGid> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(fine) {
        return Err(WrongGid::Garbled);
    }
    Ok(text.to_owned())
}

/// A number as we write it: no sign, no zero in front.
fn number(text: &str) -> Result<u64, WrongGid> {
    let read: u64 = text.parse().map_err(|_| WrongGid::Garbled)?;
    if read.to_string() == text { Ok(read) } else { Err(WrongGid::Garbled) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "exo:orders:7:4711-9f3a01bc:s-t:7399002811223344556:42";

    #[test]
    fn a_name_says_all_a_recoverer_needs() {
        let gid: Gid = SAMPLE.parse().unwrap();
        assert_eq!(
            (gid.run.as_str(), gid.epoch, gid.boot.as_str()),
            ("orders", Epoch(7), "4711-9f3a01bc")
        );
        assert_eq!(gid.participants, Participants { authority: Side::Source, symmetric: false });
        assert_eq!((gid.system, gid.number), (7_399_002_811_223_344_556, 42));
        assert_eq!(gid.to_string(), SAMPLE);
        assert!(SAMPLE.starts_with(&Gid::prefix("orders")));
    }

    #[test]
    fn only_what_we_write_is_ours() {
        let check = |text: &str, expect| assert_eq!(text.parse::<Gid>(), Err(expect), "{text}");
        check("pgbench_1", WrongGid::Foreign);
        check("", WrongGid::Foreign);
        for wrong in [
            "exo:",
            "exo:orders:07:b:s-t:1:1",
            "exo:orders:+7:b:s-t:1:1",
            "exo:orders:7:b:s-s:1:1",
            "exo:orders:7:b:s-t:1:1:1",
            "exo:orders:7:b:s-t:1",
            "exo::7:b:s-t:1:1",
            "exo:o'rders:7:b:s-t:1:1",
            "exo:orders:7:b:s-t:99999999999999999999:1",
        ] {
            check(wrong, WrongGid::Garbled);
        }
        check(&SAMPLE.replace("orders", &"o".repeat(200)), WrongGid::TooLong);
    }

    proptest! {
        #[test]
        fn what_is_read_is_printed_as_it_was(
            run in "[a-zA-Z0-9_.-]{1,60}", boot in "[a-z0-9-]{1,40}",
            epoch: u64, system: u64, number: u64, target: bool, symmetric: bool,
        ) {
            let authority = if target { Side::Target } else { Side::Source };
            let participants = Participants { authority, symmetric };
            let gid = Gid { run, epoch: Epoch(epoch), boot, participants, system, number };
            let gid = gid.checked().unwrap();
            prop_assert_eq!(gid.to_string().parse::<Gid>().unwrap(), gid);
        }

        #[test]
        fn whatever_is_found_is_kept_verbatim_or_left_alone(text in "(exo:)?[a-z0-9:'st-]{0,60}") {
            if let Ok(gid) = text.parse::<Gid>() {
                prop_assert_eq!(gid.to_string(), text);
            }
        }
    }
}
