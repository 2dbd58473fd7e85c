use xxhash_rust::xxh3::xxh3_64;

/// A stable bucket of clients. Equal attributes give equal cohorts on every node and after
/// every restart, so a percentage never re-deals who sees which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cohort(u16);

/// Number of cohorts; a percentage has a resolution of one hundredth of a percent.
const COHORTS: u16 = 10_000;

impl Cohort {
    /// The cohort of whatever identifies the client (user, client name, address).
    #[must_use]
    pub fn of(attribute: &[u8]) -> Self {
        Self((xxh3_64(attribute) % u64::from(COHORTS)) as u16)
    }

    /// Whether this cohort is among the first `percent` of a hundred. Monotone in `percent`.
    #[must_use]
    pub fn within(self, percent: u8) -> bool {
        self.0 < u16::from(percent.min(100)) * (COHORTS / 100)
    }
}
