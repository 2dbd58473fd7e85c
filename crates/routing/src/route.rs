use model::{Access, ReadMode, Side, Tenant};

use crate::cohort::Cohort;
use crate::table::{Freeze, RoutingTable};

/// What is known of a request at the moment it is routed.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What it may do.
    pub access: Access,
    /// The client's stable cohort.
    pub cohort: Cohort,
    /// The client's pin attribute (user or client name), if any.
    pub attribute: Option<&'a [u8]>,
    /// Which tenants its records belong to.
    pub tenants: TenantSpan<'a>,
    /// Whether any record it touches has a write in flight or not yet on the secondary.
    pub unsettled: bool,
    /// Whether the secondary answers at all.
    pub secondary_healthy: bool,
    /// Age of the oldest change the secondary does not have, in milliseconds.
    pub lag_ms: u32,
    /// A number below 10,000 that samples requests for comparison.
    pub sample: u16,
}

/// Which tenants a request's records belong to.
#[derive(Debug, Clone, Copy)]
pub enum TenantSpan<'a> {
    /// The migration does not partition, or the request touches no record.
    None,
    /// All of one tenant.
    One(&'a Tenant),
    /// Several tenants, all on this side.
    Same(Side),
    /// Several tenants, or unknown records, that both sides decide about.
    Mixed,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this side. `capture`: note its records; `compare`: also ask the other side.
    To {
        /// The side that answers the client.
        side: Side,
        /// Whether its records are noted as possibly changed.
        capture: bool,
        /// Whether the other side is asked too, off the client's path.
        compare: bool,
    },
    /// Wait for the next table, bounded by the proxy's hold limit.
    Hold,
    /// Refuse in the client's protocol.
    Refuse(Refusal),
}

/// Why a request cannot be served by any side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It writes records of tenants that different sides decide about.
    SpansTenants,
    /// The family cannot keep it across two sides.
    NotKept,
}

/// Decides. Pure: the same table and facts always give the same route.
#[must_use]
pub fn route(table: &RoutingTable, facts: &Facts<'_>) -> Route {
    let authority = match facts.tenants {
        TenantSpan::None => table.authority.default,
        TenantSpan::One(tenant) => table.authority.of(Some(tenant)),
        TenantSpan::Same(side) => side,
        TenantSpan::Mixed if table.authority.moved.is_empty() => table.authority.default,
        TenantSpan::Mixed => return Route::Refuse(Refusal::SpansTenants),
    };
    match facts.access {
        Access::Refused if table.capture => Route::Refuse(Refusal::NotKept),
        Access::Refused | Access::Session | Access::Server => {
            Route::To { side: authority, capture: false, compare: false }
        }
        Access::Write => match table.freeze {
            Freeze::Writes => Route::Hold,
            Freeze::Open => Route::To { side: authority, capture: table.capture, compare: false },
        },
        Access::Read => {
            let side = read_side(table, facts, authority);
            let compare = side == authority
                && !facts.unsettled
                && table.compare.is_some_and(|c| facts.sample < c.sample_per_myriad);
            Route::To { side, capture: false, compare }
        }
    }
}

fn read_side(table: &RoutingTable, facts: &Facts<'_>, authority: Side) -> Side {
    let reads = &table.reads;
    let secondary = authority.other();
    let wanted = match reads.pins.iter().find(|(a, _)| Some(a.as_slice()) == facts.attribute) {
        Some((_, side)) => *side,
        None => match reads.mode {
            ReadMode::Compare => authority,
            ReadMode::Source => Side::Source,
            ReadMode::Target | ReadMode::PreferTarget => Side::Target,
            ReadMode::Percent if facts.cohort.within(reads.percent) => Side::Target,
            ReadMode::Percent => Side::Source,
        },
    };
    let secondary_serves = reads.secondary_ready
        && facts.secondary_healthy
        && !facts.unsettled
        && reads.lag_ms_max.is_none_or(|max| facts.lag_ms <= max);
    if wanted == secondary && secondary_serves { secondary } else { authority }
}
