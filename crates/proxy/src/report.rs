//! What the barrier's steps found and did.

use std::time::Duration;

use model::Epoch;

/// How an interlay became quiet under a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietReport {
    /// The epoch of the freezing table.
    pub epoch: Epoch,
    /// Every write that was sent under an older table has been answered and settled (or its
    /// connection was proved dead on the server). While false nothing may be opened.
    pub quiet: bool,
    /// Writes still unanswered when this was written; 0 when quiet.
    pub writes_in_flight: usize,
    /// Waiting clients that were unblocked and will be sent again.
    pub unblocked: usize,
    /// Open transactions that will be carried over.
    pub transactions_open: usize,
    /// Open transactions ended at the deadline with a native error.
    pub transactions_ended: usize,
    /// Requests waiting at the barrier.
    pub held: usize,
    /// How long it took.
    pub took: Duration,
    /// What went wrong or is being waited for, for the operator.
    pub waiting_on: Vec<String>,
}

/// How sessions were moved to the authority of the current table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehomeReport {
    /// The epoch of the table they follow now.
    pub epoch: Epoch,
    /// Sessions that got a new own connection.
    pub moved: usize,
    /// Of these, sessions with subscriptions, all confirmed by the new authority.
    pub subscribed: usize,
    /// Clients closed because their state could not be carried over.
    pub closed: usize,
    /// Sessions that still have not moved; 0 unless the deadline passed.
    pub left: usize,
    /// How long it took.
    pub took: Duration,
}

/// How an interlay was drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// Clients that were closed at an idle point.
    pub closed_idle: usize,
    /// Clients that were closed in the middle of something at the deadline.
    pub closed_busy: usize,
    /// How long it took.
    pub took: Duration,
}

impl QuietReport {
    /// The report of all shards together.
    pub(crate) fn sum(epoch: Epoch, parts: Vec<Self>, took: Duration) -> Self {
        let mut all = Self::empty(epoch);
        all.took = took;
        for part in parts {
            all.quiet &= part.quiet;
            all.writes_in_flight += part.writes_in_flight;
            all.unblocked += part.unblocked;
            all.transactions_open += part.transactions_open;
            all.transactions_ended += part.transactions_ended;
            all.held += part.held;
            all.waiting_on.extend(part.waiting_on);
        }
        all
    }

    /// Quiet with nothing found.
    pub(crate) fn empty(epoch: Epoch) -> Self {
        Self {
            epoch,
            quiet: true,
            writes_in_flight: 0,
            unblocked: 0,
            transactions_open: 0,
            transactions_ended: 0,
            held: 0,
            took: Duration::ZERO,
            waiting_on: Vec::new(),
        }
    }
}

impl RehomeReport {
    /// The report of all shards together.
    pub(crate) fn sum(epoch: Epoch, parts: Vec<Self>, took: Duration) -> Self {
        let mut all = Self::empty(epoch);
        all.took = took;
        for part in parts {
            all.moved += part.moved;
            all.subscribed += part.subscribed;
            all.closed += part.closed;
            all.left += part.left;
        }
        all
    }

    /// Nothing to move.
    pub(crate) fn empty(epoch: Epoch) -> Self {
        Self { epoch, moved: 0, subscribed: 0, closed: 0, left: 0, took: Duration::ZERO }
    }
}

impl DrainReport {
    /// The report of all shards together.
    pub(crate) fn sum(parts: Vec<Self>, took: Duration) -> Self {
        let mut all = Self { closed_idle: 0, closed_busy: 0, took };
        for part in parts {
            all.closed_idle += part.closed_idle;
            all.closed_busy += part.closed_busy;
        }
        all
    }
}
