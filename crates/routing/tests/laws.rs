//! Laws of tables, routes and cohorts, for any situation.

use std::collections::BTreeSet;

use model::{Access, Epoch, ReadMode, Side, Strategy, Tenant, WritePolicy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use routing::{
    Authority, Cohort, Facts, Freeze, Refusal, Route, RoutingTable, Situation, TenantSpan,
    generate, moving, route, splits_reads,
};

fn side() -> impl proptest::strategy::Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Target)]
}

fn tenant() -> impl proptest::strategy::Strategy<Value = Tenant> {
    (0_u8..4).prop_map(|n| Tenant::new(&[n]))
}

fn authority() -> impl proptest::strategy::Strategy<Value = Authority> {
    (side(), proptest::collection::btree_set(tenant(), 0..3))
        .prop_map(|(default, moved)| Authority { default, moved })
}

fn policy() -> impl proptest::strategy::Strategy<Value = WritePolicy> {
    proptest::sample::select(WritePolicy::ALL)
}

fn strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    proptest::sample::select(Strategy::ALL)
}

prop_compose! {
    fn situation()(
        epoch in 0_u64..1_000,
        authority in authority(),
        flags in any::<[bool; 4]>(),
        reads in (proptest::sample::select(ReadMode::ALL), 0_u8..=100),
        sample_per_myriad in 0_u16..=20_000,
        policies in (policy(), policy()),
        lag_ms_max in proptest::option::of(0_u32..100),
        pins in proptest::collection::vec((proptest::collection::vec(0_u8..3, 1), side()), 0..3),
    ) -> Situation {
        let [capture, verified, frozen, plain] = flags;
        Situation {
            epoch: Epoch(epoch),
            authority,
            capture,
            verified,
            reads_mode: reads.0,
            reads_percent: reads.1,
            sample_per_myriad,
            freeze: if frozen { Freeze::Writes } else { Freeze::Open },
            plain,
            policy_before: policies.0,
            policy_after: policies.1,
            target_timeout_ms: 250,
            lag_ms_max,
            pins,
        }
    }
}

/// What a request is, owned.
#[derive(Debug, Clone)]
struct Request {
    access: Access,
    client: Vec<u8>,
    tenant: Option<Tenant>,
    unsettled: bool,
    healthy: bool,
    lag_ms: u32,
    sample: u16,
}

prop_compose! {
    fn request()(
        access in prop_oneof![
            Just(Access::Read), Just(Access::Write), Just(Access::Session), Just(Access::Server),
            Just(Access::Refused),
        ],
        client in proptest::collection::vec(0_u8..3, 1),
        tenant in proptest::option::of(tenant()),
        unsettled in any::<bool>(),
        healthy in any::<bool>(),
        lag_ms in 0_u32..100,
        sample in 0_u16..10_000,
    ) -> Request {
        Request { access, client, tenant, unsettled, healthy, lag_ms, sample }
    }
}

fn send(table: &RoutingTable, r: &Request) -> Route {
    route(
        table,
        &Facts {
            access: r.access,
            cohort: Cohort::of(&r.client),
            attribute: Some(&r.client),
            tenants: r.tenant.as_ref().map_or(TenantSpan::None, TenantSpan::One),
            unsettled: r.unsettled,
            secondary_healthy: r.healthy,
            lag_ms: r.lag_ms,
            sample: r.sample,
        },
    )
}

proptest! {
    #[test]
    fn a_write_goes_to_the_authority_of_its_record_or_waits(
        strategy in strategy(), s in situation(), r in request(),
    ) {
        let table = generate(strategy, &s);
        let r = Request { access: Access::Write, ..r };
        match send(&table, &r) {
            Route::Hold => prop_assert_eq!(s.freeze, Freeze::Writes),
            Route::To { side, capture, compare } => {
                prop_assert_eq!(side, s.authority.of(r.tenant.as_ref()));
                prop_assert_eq!(capture, s.capture);
                prop_assert!(!compare && s.freeze == Freeze::Open);
            }
            Route::Refuse(_) => prop_assert!(false, "a write of one tenant is never refused"),
        }
    }

    #[test]
    fn writes_are_never_split_by_request(
        strategy in strategy(), s in situation(), a in request(), b in request(),
    ) {
        let table = generate(strategy, &s);
        let a = Request { access: Access::Write, ..a };
        let b = Request { access: Access::Write, tenant: a.tenant.clone(), ..b };
        prop_assert_eq!(send(&table, &a), send(&table, &b));
    }

    #[test]
    fn no_read_leaves_the_authority_unless_verified_settled_and_healthy(
        strategy in strategy(), s in situation(), r in request(),
    ) {
        let table = generate(strategy, &s);
        let r = Request { access: Access::Read, ..r };
        let Route::To { side, capture, .. } = send(&table, &r) else {
            return Err(TestCaseError::fail("reads always pass"));
        };
        prop_assert!(!capture);
        if side != s.authority.of(r.tenant.as_ref()) {
            prop_assert!(s.verified && !s.plain && r.healthy && !r.unsettled);
            prop_assert!(s.lag_ms_max.is_none_or(|max| r.lag_ms <= max));
            let pinned = s.pins.iter().any(|(client, _)| *client == r.client);
            prop_assert!(pinned || splits_reads(strategy));
        }
    }

    #[test]
    fn only_settled_reads_of_the_authority_are_compared(
        strategy in strategy(), s in situation(), r in request(),
    ) {
        let table = generate(strategy, &s);
        if let Route::To { side, compare: true, .. } = send(&table, &r) {
            prop_assert!(r.access == Access::Read && !r.unsettled && !s.plain);
            prop_assert_eq!(side, s.authority.of(r.tenant.as_ref()));
        }
    }

    #[test]
    fn a_larger_share_of_reads_only_adds_cohorts(
        s in situation(), r in request(), more in 0_u8..=100,
    ) {
        let s = Situation { authority: Authority::whole(Side::Source), ..s };
        let more = Situation { reads_percent: s.reads_percent.max(more), ..s.clone() };
        let r = Request { access: Access::Read, tenant: None, ..r };
        let target = |s: &Situation| {
            matches!(send(&generate(Strategy::Canary, s), &r), Route::To { side: Side::Target, .. })
        };
        prop_assert!(!target(&s) || target(&more));
    }

    #[test]
    fn percent_hundred_is_everybody_and_zero_nobody(client in any::<Vec<u8>>()) {
        let cohort = Cohort::of(&client);
        prop_assert!(cohort.within(100) && !cohort.within(0));
        prop_assert_eq!(cohort, Cohort::of(&client));
        for percent in 0..100_u8 {
            prop_assert!(!cohort.within(percent) || cohort.within(percent + 1));
        }
    }

    #[test]
    fn a_plain_table_waits_for_nobody(strategy in strategy(), s in situation()) {
        let table = generate(strategy, &Situation { plain: true, ..s });
        prop_assert!(table.compare.is_none() && !table.reads.secondary_ready);
        let expected = match table.authority.default {
            Side::Source => WritePolicy::OldAuthoritative,
            Side::Target => WritePolicy::NewAuthoritative,
        };
        prop_assert_eq!(table.writes, expected);
    }

    #[test]
    fn every_strategy_states_the_facts_as_they_are(strategy in strategy(), s in situation()) {
        let table = generate(strategy, &s);
        prop_assert_eq!(table.epoch, s.epoch);
        prop_assert_eq!(&table.authority, &s.authority);
        prop_assert_eq!(table.freeze, s.freeze);
        prop_assert_eq!(table.capture, s.capture);
        prop_assert!(table.compare.is_none_or(|c| c.sample_per_myriad <= 10_000));
        prop_assert!(!table.reads.secondary_ready || s.verified);
    }

    #[test]
    fn tenants_move_there_and_back(
        before in authority(), tenants in proptest::collection::btree_set(tenant(), 0..3),
        to in side(), other in tenant(),
    ) {
        let after = moving(&before, &tenants, to);
        for t in &tenants {
            prop_assert_eq!(after.of(Some(t)), to);
        }
        prop_assert_eq!(after.of(None), before.of(None));
        if !tenants.contains(&other) {
            prop_assert_eq!(after.of(Some(&other)), before.of(Some(&other)));
        }
        let twice = moving(&after, &tenants, to);
        prop_assert_eq!(twice, after);
    }

    #[test]
    fn records_of_both_sides_in_one_request_are_refused(
        strategy in strategy(), s in situation(), r in request(),
    ) {
        let mixed = Authority { default: Side::Source, moved: [Tenant::new(b"t")].into() };
        let table = generate(strategy, &Situation { authority: mixed, ..s });
        let facts = Facts {
            access: r.access,
            cohort: Cohort::of(&r.client),
            attribute: None,
            tenants: TenantSpan::Mixed,
            unsettled: r.unsettled,
            secondary_healthy: r.healthy,
            lag_ms: r.lag_ms,
            sample: r.sample,
        };
        prop_assert_eq!(route(&table, &facts), Route::Refuse(Refusal::SpansTenants));
    }
}

/// Shares come out as asked, within a few points, for clients that differ by little.
#[test]
fn cohorts_are_spread_evenly() {
    let clients: Vec<_> = (0..20_000_u32).map(|n| format!("10.0.0.{n}")).collect();
    let mut before = BTreeSet::new();
    for percent in [5_u8, 25, 50, 75, 100] {
        let inside: BTreeSet<_> =
            clients.iter().filter(|c| Cohort::of(c.as_bytes()).within(percent)).cloned().collect();
        let share = inside.len() as f64 / clients.len() as f64 * 100.0;
        assert!((share - f64::from(percent)).abs() < 2.0, "{percent} % became {share}");
        assert!(before.is_subset(&inside));
        before = inside;
    }
}

#[test]
fn the_mode_of_canary_is_percent_and_of_the_others_never() {
    for strategy in Strategy::ALL {
        let s = Situation {
            epoch: Epoch(1),
            authority: Authority::whole(Side::Source),
            capture: true,
            verified: true,
            reads_mode: ReadMode::Percent,
            reads_percent: 50,
            sample_per_myriad: 0,
            freeze: Freeze::Open,
            plain: false,
            policy_before: WritePolicy::BothRequired,
            policy_after: WritePolicy::BothRequired,
            target_timeout_ms: 250,
            lag_ms_max: None,
            pins: Vec::new(),
        };
        let table = generate(*strategy, &s);
        assert_eq!(table.reads.mode == ReadMode::Percent, *strategy == Strategy::Canary);
        assert_eq!(table.writes, WritePolicy::BothRequired);
    }
}
