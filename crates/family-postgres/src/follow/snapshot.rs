//! Which transactions a snapshot sees.

use std::fmt;
use std::str::FromStr;

/// `pg_snapshot`: <https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT>.
/// Names top-level transactions only, as `Begin` of the stream does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// In progress when it was taken; ascending.
    running: Vec<u64>,
}

/// The text is no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoSnapshot;

impl Snapshot {
    /// Whether it sees what this transaction did, given that it has committed.
    pub(crate) fn sees(&self, xid: u32) -> bool {
        let xid = self.full(xid);
        xid < self.xmin || (xid < self.xmax && self.running.binary_search(&xid).is_err())
    }

    /// The stream tells the lower half of an id. Of all that share it, the one within two
    /// billions of the snapshot: the server itself cannot hold others apart either.
    fn full(&self, xid: u32) -> u64 {
        const EPOCH: u64 = 1 << 32;
        let near = self.xmax & !(EPOCH - 1) | u64::from(xid);
        if near > self.xmax + EPOCH / 2 {
            near.saturating_sub(EPOCH)
        } else if near + EPOCH / 2 < self.xmax {
            near + EPOCH
        } else {
            near
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (n, xid) in self.running.iter().enumerate() {
            write!(f, "{}{xid}", if n > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Snapshot {
    type Err = NoSnapshot;

    fn from_str(text: &str) -> Result<Self, NoSnapshot> {
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (xmin, xmax) = number().zip(number()).ok_or(NoSnapshot)?;
        let running = match parts.next().ok_or(NoSnapshot)? {
            "" => Vec::new(),
            list => list
                .split(',')
                .map(|x| x.parse().map_err(|_| NoSnapshot))
                .collect::<Result<_, _>>()?,
        };
        if xmin > xmax || !running.is_sorted() {
            return Err(NoSnapshot);
        }
        Ok(Self { xmin, xmax, running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seen: &[u32], unseen: &[u32]) {
        let snapshot: Snapshot = text.parse().unwrap();
        assert_eq!(snapshot.to_string(), text);
        for xid in seen {
            assert!(snapshot.sees(*xid), "{text} sees {xid}");
        }
        for xid in unseen {
            assert!(!snapshot.sees(*xid), "{text} does not see {xid}");
        }
    }

    #[test]
    fn what_was_in_progress_or_came_later_is_not_seen() {
        check("10:20:10,14,15", &[3, 9, 11, 19], &[10, 14, 15, 20, 21, 1_000_000]);
        check("10:10:", &[9], &[10, 11]);
    }

    #[test]
    fn ids_wrap_around() {
        // 5 of the next epoch, and one from shortly before it.
        check("4294967300:4294967302:", &[u32::MAX, 3], &[6, 7]);
        check("4294967290:4294967294:", &[4_294_967_289], &[4_294_967_294, 5]);
        check("8589934592:8589934593:", &[u32::MAX, 0], &[1]);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "1", "1:2", "2:1:", "1:9:7,3", "a:b:c", "1:2:x"] {
            assert_eq!(bad.parse::<Snapshot>(), Err(NoSnapshot), "{bad}");
        }
    }
}
