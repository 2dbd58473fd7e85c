//! Positions in the write-ahead log, and the server's clock.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A position in the write-ahead log, in bytes from its beginning. 0 is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no position in the write-ahead log")]
pub struct LsnError;

impl FromStr for Lsn {
    type Err = LsnError;

    /// As `pg_lsn_in`: one to eight hexadecimal digits, a slash, and again.
    fn from_str(text: &str) -> Result<Self, LsnError> {
        let (high, low) = text.split_once('/').ok_or(LsnError)?;
        let half = |digits: &str| {
            let fits = (1..=8).contains(&digits.len());
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !fits || !plain {
                return Err(LsnError);
            }
            u64::from_str_radix(digits, 16).map_err(|_| LsnError)
        };
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

/// Microseconds since 2000-01-01 00:00 UTC, the server's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

/// Seconds from the epoch of Unix to the server's (`POSTGRES_EPOCH_JDATE`,
/// `src/include/datatype/timestamp.h`).
const EPOCH_SECONDS: i64 = 946_684_800;

impl Micros {
    /// Microseconds since the epoch of Unix; at the ends of the range, the end.
    #[must_use]
    pub fn since_unix_epoch(self) -> i64 {
        self.0.saturating_add(EPOCH_SECONDS * 1_000_000)
    }

    /// From microseconds since the epoch of Unix; at the ends of the range, the end.
    #[must_use]
    pub fn from_unix_epoch(micros: i64) -> Self {
        Self(micros.saturating_sub(EPOCH_SECONDS * 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_as_text() {
        for (text, value) in
            [("0/0", 0), ("16/B374D848", 0x16_b374_d848), ("FFFFFFFF/FFFFFFFF", u64::MAX)]
        {
            assert_eq!(text.parse(), Ok(Lsn(value)));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for bad in ["", "/", "1/", "/1", "1", "+1/1", "123456789/0", "g/0", "1/2/3"] {
            assert_eq!(bad.parse::<Lsn>(), Err(LsnError), "{bad}");
        }
    }

    #[test]
    fn epochs() {
        assert_eq!(Micros(0).since_unix_epoch(), 946_684_800_000_000);
        assert_eq!(Micros::from_unix_epoch(946_684_800_000_001), Micros(1));
    }
}
