//! The bug zoo: mistakes that can be planted, to prove that the simulation finds them.
//!
//! Constraints: without the feature `zoo` nothing can be planted, and every question is the
//! constant `false`.

use crate::parts::Config;

/// A mistake.
#[cfg_attr(not(feature = "zoo"), allow(unreachable_pub, reason = "not exported then"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// An unanswered apply is not proved dead before its keys are copied again.
    SkipReap,
    /// Nor is what an older process left.
    SkipReapAtStart,
    /// A gap of the feed is not looked into.
    IgnoreGap,
    /// What was marked when the process ended is not looked at again.
    SkipRecheck,
    /// Markers are taken back although keys of their buckets are dirty.
    ClearBusyMarkers,
    /// The direction of a copy is always from the source.
    StaleDirection,
    /// The frontier moves before the records behind it are copied.
    EarlyFrontier,
    /// A record that the secondary refused counts as copied.
    LoseFailed,
}

impl Bug {
    /// Every one.
    #[cfg(feature = "zoo")]
    pub const ALL: &'static [Self] = &[
        Self::SkipReap,
        Self::SkipReapAtStart,
        Self::IgnoreGap,
        Self::SkipRecheck,
        Self::ClearBusyMarkers,
        Self::StaleDirection,
        Self::EarlyFrontier,
        Self::LoseFailed,
    ];
}

impl Config {
    /// Whether this mistake was planted.
    #[cfg(feature = "zoo")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this mistake was planted: never, in this build.
    #[cfg(not(feature = "zoo"))]
    #[allow(clippy::unused_self, reason = "the same call in both builds")]
    pub(crate) const fn has(&self, _bug: Bug) -> bool {
        false
    }
}
