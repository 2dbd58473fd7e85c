//! Strategies: each is a generator of routing tables, and nothing else knows its name.
//!
//! Constraints: a table that lets reads leave the authority is only ever generated from a
//! situation whose data is verified; a strategy that does not split reads never does; nobody can
//! ask for a split of writes, because a situation has no word for it.

use std::collections::BTreeSet;

use model::{Epoch, ReadMode, Side, Strategy, Tenant, WritePolicy};

use crate::table::{Authority, Compare, Freeze, ReadRouting, RoutingTable};

/// The read steps of `canary` when the operator names none, in percent of cohorts.
pub const CANARY_STEPS: [u8; 5] = [5, 25, 50, 75, 100];

/// The largest sample: every comparable request.
pub const EVERY_REQUEST: u16 = 10_000;

/// What a generator is told: the facts of a run that the data plane has to obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The epoch of the table to be made.
    pub epoch: Epoch,
    /// Which side decides, tenants that moved included.
    pub authority: Authority,
    /// Whether writes are noted in the journal.
    pub capture: bool,
    /// Whether the secondary is copied, verified and followed by a working feed.
    pub verified: bool,
    /// How reads are spread. Like `reads_percent` ignored by strategies that do not split reads.
    pub reads_mode: ReadMode,
    /// For [`ReadMode::Percent`]: percent of cohorts (0 to 100) that read from the target.
    pub reads_percent: u8,
    /// Comparable requests mirrored, of 10,000. 0 turns comparing off.
    pub sample_per_myriad: u16,
    /// Whether writes pass or wait.
    pub freeze: Freeze,
    /// Whether shifting and comparing are off, whatever the strategy (panic, rollback).
    pub plain: bool,
    /// The write policy while the source decides.
    pub policy_before: WritePolicy,
    /// The write policy while the target decides.
    pub policy_after: WritePolicy,
    /// How long `both_required` waits for the secondary, in milliseconds.
    pub target_timeout_ms: u32,
    /// Largest lag at which a read may go to the secondary, in milliseconds.
    pub lag_ms_max: Option<u32>,
    /// Clients, by attribute, that read from a given side once data is verified.
    pub pins: Vec<(Vec<u8>, Side)>,
}

/// The table a strategy makes of a situation.
#[must_use]
pub fn generate(strategy: Strategy, situation: &Situation) -> RoutingTable {
    match strategy {
        _ if situation.plain => plain(situation),
        Strategy::BigBang => big_bang(situation),
        Strategy::Canary => canary(situation),
        Strategy::BlueGreen => blue_green(situation),
        Strategy::UserByUser => user_by_user(situation),
        Strategy::Shadow => shadow(situation),
    }
}

/// Whether a strategy lets an operator choose a percentage of reads.
#[must_use]
pub const fn splits_reads(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::Canary)
}

/// Whether a strategy ever lets the target serve.
#[must_use]
pub const fn serves_target(strategy: Strategy) -> bool {
    !matches!(strategy, Strategy::Shadow)
}

/// The authority after `tenants` went to `side`; the other tenants stay where they are.
#[must_use]
pub fn moving(authority: &Authority, tenants: &BTreeSet<Tenant>, side: Side) -> Authority {
    let mut next = authority.clone();
    for tenant in tenants {
        if next.default == side {
            next.moved.remove(tenant);
        } else {
            next.moved.insert(tenant.clone());
        }
    }
    next
}

/// Whoever decides also answers, and waits for nobody; nothing is compared.
fn plain(s: &Situation) -> RoutingTable {
    RoutingTable {
        epoch: s.epoch,
        authority: s.authority.clone(),
        reads: ReadRouting::authority_only(),
        writes: match s.authority.default {
            Side::Source => WritePolicy::OldAuthoritative,
            Side::Target => WritePolicy::NewAuthoritative,
        },
        target_timeout_ms: s.target_timeout_ms,
        capture: s.capture,
        compare: None,
        freeze: s.freeze,
    }
}

/// In step, then reads and writes in one change.
fn big_bang(s: &Situation) -> RoutingTable {
    kept(s)
}

/// Reads and writes at the authority, under the policy of the plan.
fn kept(s: &Situation) -> RoutingTable {
    let plain = plain(s);
    let writes = match s.authority.default {
        // Nothing follows without notes, so there is nothing a policy could wait for.
        _ if !s.capture => plain.writes,
        Side::Source => s.policy_before,
        Side::Target => s.policy_after,
    };
    RoutingTable { writes, compare: sampled(s.sample_per_myriad), ..plain }
}

/// Reads shift by percent of cohorts, or as an operator chose; authority follows.
fn canary(s: &Situation) -> RoutingTable {
    let reads = ReadRouting {
        mode: s.reads_mode,
        percent: s.reads_percent.min(100),
        secondary_ready: s.verified,
        lag_ms_max: s.lag_ms_max,
        pins: s.pins.clone(),
    };
    RoutingTable { reads, ..kept(s) }
}

/// The target answers everything off the client's path until one change makes it the authority.
fn blue_green(s: &Situation) -> RoutingTable {
    let sample = if s.verified && s.authority.default == Side::Source {
        EVERY_REQUEST
    } else {
        s.sample_per_myriad
    };
    RoutingTable { compare: sampled(sample), ..kept(s) }
}

/// Every tenant is read where it is decided; pinned clients may read elsewhere once verified.
fn user_by_user(s: &Situation) -> RoutingTable {
    let reads = ReadRouting {
        mode: ReadMode::Compare,
        percent: 0,
        secondary_ready: s.verified && !s.pins.is_empty(),
        lag_ms_max: s.lag_ms_max,
        pins: s.pins.clone(),
    };
    RoutingTable { reads, ..kept(s) }
}

/// The authority answers, always; the other side is only asked. (That authority stays with the
/// source is the workflow's duty: a table never contradicts who decides.)
fn shadow(s: &Situation) -> RoutingTable {
    kept(s)
}

fn sampled(sample_per_myriad: u16) -> Option<Compare> {
    (sample_per_myriad > 0)
        .then(|| Compare { sample_per_myriad: sample_per_myriad.min(EVERY_REQUEST) })
}
