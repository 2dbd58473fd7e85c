use std::collections::BTreeSet;

use model::{Epoch, ReadMode, Side, Tenant, WritePolicy};

/// Everything the data plane needs to know to serve one request. Immutable; swapped whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingTable {
    /// Grows with every published table of a migration.
    pub epoch: Epoch,
    /// Which side decides.
    pub authority: Authority,
    /// Where reads may go.
    pub reads: ReadRouting,
    /// What a client's success means for the other side.
    pub writes: WritePolicy,
    /// How long `both_required` waits for the secondary, in milliseconds (default 250).
    pub target_timeout_ms: u32,
    /// Whether writes are noted in the journal. Off only before a migration captures anything.
    pub capture: bool,
    /// Which requests are also asked of the other side and compared.
    pub compare: Option<Compare>,
    /// Whether writes pass or wait.
    pub freeze: Freeze,
}

impl RoutingTable {
    /// Plain forwarding to the source: what an interlay serves before any migration acts.
    #[must_use]
    pub fn passthrough(epoch: Epoch, side: Side) -> Self {
        Self {
            epoch,
            authority: Authority::whole(side),
            reads: ReadRouting::authority_only(),
            writes: WritePolicy::OldAuthoritative,
            target_timeout_ms: 250,
            capture: false,
            compare: None,
            freeze: Freeze::Open,
        }
    }
}

/// Which side decides: one answer for all records, with exceptions only per tenant.
///
/// A split of writes by request is not representable, on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The side that decides for every record not in `moved`.
    pub default: Side,
    /// Tenants whose records are decided by the other side.
    pub moved: BTreeSet<Tenant>,
}

impl Authority {
    /// One side decides everything.
    #[must_use]
    pub const fn whole(side: Side) -> Self {
        Self { default: side, moved: BTreeSet::new() }
    }

    /// The side that decides for a record of this tenant.
    #[must_use]
    pub fn of(&self, tenant: Option<&Tenant>) -> Side {
        match tenant {
            Some(t) if self.moved.contains(t) => self.default.other(),
            _ => self.default,
        }
    }
}

/// Where reads may go while both sides are alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRouting {
    /// The mode asked for.
    pub mode: ReadMode,
    /// For `percent`: how many cohorts of a hundred read from the target.
    pub percent: u8,
    /// Whether the secondary is copied and verified. While false no read leaves the authority.
    pub secondary_ready: bool,
    /// Largest replication lag at which a read may go to the secondary, in milliseconds.
    pub lag_ms_max: Option<u32>,
    /// Cohorts by client attribute (user or client name) that always read from the given side.
    pub pins: Vec<(Vec<u8>, Side)>,
}

impl ReadRouting {
    /// Every read from whichever side decides.
    #[must_use]
    pub const fn authority_only() -> Self {
        Self {
            mode: ReadMode::Source,
            percent: 0,
            secondary_ready: false,
            lag_ms_max: None,
            pins: Vec::new(),
        }
    }
}

/// Sampling of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compare {
    /// How many of 10,000 comparable requests are mirrored.
    pub sample_per_myriad: u16,
}

/// The barrier of a cutover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// Everything passes.
    Open,
    /// Whatever can write waits; reads pass.
    Writes,
}
