use std::fmt;

use crate::wire_names;

wire_names! {
    /// One of the two systems of a migration. Fixed for its life: the source stays the source
    /// after authority has moved.
    pub enum Side ("side") {
        /// Where the workload lived when the migration began.
        Source => "source",
        /// Where the workload is going.
        Target => "target",
    }
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Target,
            Self::Target => Self::Source,
        }
    }

    /// A dense index (source 0, target 1) for two-element arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The version of the answer to "who decides". Only grows, within one migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
