//! Canned documents of the API, built from its own types so that they cannot drift from it.

use api::*;
use serde_json::{Value, json};

/// An envelope as the server sends it around `data`.
pub(crate) fn envelope(data: &impl serde::Serialize) -> Value {
    json!({
        "state_version": 41,
        "waiting_on": waiting(),
        "allowed_actions": [{
            "verb": "advance", "allowed": true, "blast_radius": "reads move",
            "command": "exodus advance --yes",
        }],
        "warnings": [],
        "next_steps": [{"command": "exodus advance --yes", "why": "the soak is over and every criterion passes"}],
        "data": data,
    })
}

pub(crate) fn waiting() -> Waiting {
    Waiting {
        kind: "operator".into(),
        what: "somebody to move the next share of reads".into(),
        since: "2026-11-20T12:01:00Z".into(),
        who: "operator".into(),
        command: Some("exodus advance --yes".into()),
    }
}

/// One migration named `orders`.
pub(crate) fn fleet() -> Value {
    envelope(&[summary("orders")])
}

pub(crate) fn summary(id: &str) -> MigrationSummary {
    MigrationSummary {
        id: id.into(),
        family: "fake".into(),
        environment: "prod".into(),
        strategy: "canary".into(),
        phase: Some(Phase::Migrate),
        step: "reads 25 % on target".into(),
        state: "waiting".into(),
        authority: Side::Source,
        epoch: 12,
        undo_ready: true,
        divergence_open: 0,
        parked: 0,
        waiting_on: Some(waiting()),
        since: "2026-11-20T12:00:00Z".into(),
        state_version: 41,
    }
}

fn bar(now: Phase) -> Vec<PhaseMark> {
    let all = [
        Phase::PreTest,
        Phase::Analyze,
        Phase::Compare,
        Phase::Test,
        Phase::Migrate,
        Phase::Commit,
    ];
    let at = all.iter().position(|p| *p == now).unwrap_or(all.len());
    let state = |i: usize| {
        if i < at {
            "done"
        } else if i == at {
            "now"
        } else {
            "todo"
        }
    };
    all.iter().enumerate().map(|(i, p)| PhaseMark { phase: *p, state: state(i).into() }).collect()
}

fn endpoint(side: Side, product: &str, memory_max: u64) -> Endpoint {
    Endpoint {
        migration: "orders".into(),
        side,
        family: "fake".into(),
        address: "10.0.0.1:6379".into(),
        tls: "disable".into(),
        reachable: true,
        product: Some(product.into()),
        capabilities: Default::default(),
        memory_used: Some(48_200_000),
        memory_max: Some(memory_max),
        last_error: None,
    }
}

/// A canary in the middle of its reads.
pub(crate) fn status() -> Status {
    Status {
        migration: "orders".into(),
        run: Some("7f3a".into()),
        environment: "prod".into(),
        family: "fake".into(),
        strategy: "canary".into(),
        at: "2026-11-20T12:03:09Z".into(),
        state_version: 41,
        live: true,
        writes: Writes {
            authority: Side::Source,
            epoch: 12,
            policy: "both_required".into(),
            frozen: false,
            following: "in_step".into(),
            lag_ms: 3,
            rate: 1204.2,
            tenants_moved: vec![],
            measured_by: Measured { agreeing: 2, of: 2 },
        },
        reads: Reads {
            mode: "percent".into(),
            asked_percent: 25,
            observed_percent: Some(24.83),
            pinned_sessions: 2,
            pins: 0,
            secondary_ready: true,
            rate: 8431.0,
        },
        undo: Undo {
            ready: true,
            reason: "the source decides; one routing table brings the reads back".into(),
            estimated_ms: Some(40),
            writes_at_risk: 0,
            last_rehearsal: Some(Rehearsal {
                at: "2026-11-20T10:03:09Z".into(),
                passed: true,
                pause_ms: [38, 41],
                stale: false,
            }),
            window_ends: None,
        },
        phase: PhaseStatus {
            phase: Some(Phase::Migrate),
            step: "reads".into(),
            title: "reads 25 % on target, soaked".into(),
            state: "waiting".into(),
            since: "2026-11-20T11:53:09Z".into(),
            bar: bar(Phase::Migrate),
            soak_left_s: None,
            cause: None,
        },
        waiting_on: Some(waiting()),
        allowed_actions: vec![],
        next_steps: vec![NextStep {
            command: "exodus advance --yes".into(),
            why: "the soak is over and every criterion passes".into(),
        }],
        warnings: vec![],
        checks: ChecksSummary {
            pass: 14,
            advice: 2,
            risk: 1,
            blocker: 0,
            not_run: 0,
            waived: 1,
            running: false,
            age_s: Some(720),
        },
        data: DataStatus {
            state: "done".into(),
            records: 200_311,
            total: 200_311,
            percent: 100.0,
            rate: 0.0,
            bytes: 48_200_000,
            ..DataStatus::default()
        },
        divergence: DivergenceStatus {
            verify: "done".into(),
            last_verify: Some("2026-11-20T11:51:09Z".into()),
            consistency_percent: Some(100.0),
            compared_reads: 1_840,
            ..DivergenceStatus::default()
        },
        source: SourceHealth {
            reachable: true,
            target_reachable: true,
            ping_ms: Some(0.2),
            p99_change_percent: Some(3.2),
            throttle_percent: 100.0,
            ..SourceHealth::default()
        },
        endpoints: vec![
            endpoint(Side::Source, "fakedb 7.0.15", 0),
            endpoint(Side::Target, "fakedb 8.1.1", 2_000_000_000),
        ],
        queue: QueueStatus { depth: 4, bulk: 0, in_flight: 1, oldest_ms: 3, parked: 0, log: None },
        latency: vec![
            SideLatency {
                side: "source".into(),
                p50_us: 210,
                p99_us: 980,
                p999_us: 2100,
                requests: 900_000,
            },
            SideLatency {
                side: "target".into(),
                p50_us: 190,
                p99_us: 870,
                p999_us: 1900,
                requests: 300_000,
            },
        ],
        events: vec![
            event(811, "11:53:09", "step_entered", "info", "migrate: reads 25 % on target"),
            event(
                815,
                "11:58:40",
                "criterion_inconclusive",
                "warning",
                "target_p99: 12 samples are too few",
            ),
            event(820, "12:01:00", "waiting", "notice", "somebody to move the next share of reads"),
        ],
    }
}

/// After a cutover that went wrong: everything loud.
pub(crate) fn trouble() -> Status {
    let mut s = status();
    s.live = false;
    s.writes.authority = Side::Target;
    s.writes.epoch = 15;
    s.writes.frozen = true;
    s.writes.following = "degraded".into();
    s.writes.lag_ms = 48_200;
    s.writes.measured_by = Measured { agreeing: 1, of: 2 };
    s.reads.asked_percent = 100;
    s.reads.observed_percent = None;
    s.undo = Undo {
        ready: false,
        reason: "1,204 writes have not reached the source; it does not answer since 48 s".into(),
        estimated_ms: None,
        writes_at_risk: 1204,
        last_rehearsal: None,
        window_ends: Some("2026-11-23T12:00:00Z".into()),
    };
    s.phase.step = "serving_target".into();
    s.phase.title = "target decides, source does not follow".into();
    s.phase.state = "held".into();
    s.phase.cause = Some("criterion source_reachable failed".into());
    s.waiting_on = Some(Waiting {
        kind: "source".into(),
        what: "the source to answer again".into(),
        since: "2026-11-20T12:02:21Z".into(),
        who: "whoever runs the source".into(),
        command: None,
    });
    s.next_steps = vec![];
    s.warnings = vec![Warning {
        code: "EXO-ENG-010".into(),
        message: "the feed of the target is lost".into(),
    }];
    s.checks.blocker = 1;
    s.data.state = "throttled".into();
    s.data.percent = 99.97;
    s.data.records = 200_250;
    s.data.rate = 1830.0;
    s.data.eta = Some(EtaRange { low_s: 40, high_s: 95 });
    s.data.current = Some("db0".into());
    s.data.failed = 3;
    s.queue = QueueStatus {
        depth: 1204,
        bulk: 61,
        in_flight: 0,
        oldest_ms: 48_200,
        parked: 3,
        log: None,
    };
    s.divergence.open = 2;
    s.divergence.suspected = 1;
    s.divergence.by_state = [("confirmed".to_owned(), 2), ("ignored".to_owned(), 5)].into();
    s.divergence.by_class = [("value".to_owned(), 1), ("extra_on_target".to_owned(), 1)].into();
    s.source.reachable = false;
    s.source.throttle_percent = 20.0;
    s.source.throttle_reason = Some("p99 of the target 61 ms is above 50 ms".into());
    s.source.client_errors_per_min = 0.4;
    s.source.direct_sessions = Some(3);
    s
}

/// Reads are compared with a target that has next to nothing yet.
pub(crate) fn early() -> Status {
    let mut s = status();
    s.writes.following = "no".into();
    s.reads.secondary_ready = false;
    s.checks = ChecksSummary { running: true, ..ChecksSummary::default() };
    s.data = DataStatus { state: "idle".into(), ..DataStatus::default() };
    s.divergence = DivergenceStatus {
        verify: "idle".into(),
        consistency_percent: Some(95.0),
        compared_reads: 40,
        reads_not_there_yet: 12_004,
        ..DivergenceStatus::default()
    };
    s
}

/// A share of reads that happens to be nobody's.
pub(crate) fn nobody_reads() -> Status {
    let mut s = status();
    s.reads.observed_percent = Some(0.0);
    s
}

/// A run that went back because the target takes no more writes.
pub(crate) fn rolled_back() -> Status {
    let mut s = status();
    s.phase.bar[4].state = "left".into();
    s.phase.bar.insert(5, PhaseMark { phase: Phase::Rollback, state: "now".into() });
    s.phase.phase = Some(Phase::Rollback);
    s.phase.step = "rolled_back".into();
    s.phase.title = "rolled back: the source decides".into();
    s.phase.state = "rolled_back".into();
    s.phase.cause = Some("ann: the target is too small".into());
    s.source.target_trouble = Some("refuses writes: out of memory or disk".into());
    s
}

/// A run that is over, with everything of ours removed.
pub(crate) fn over() -> Status {
    let mut s = status();
    s.phase.bar.iter_mut().for_each(|m| m.state = "done".into());
    s.phase.step = "finalized".into();
    s.phase.title = "finalized: the target is the only system".into();
    s.phase.state = "finalized".into();
    s.waiting_on = Some(Waiting {
        kind: "nothing".into(),
        what: "nothing: the run is over and nothing of ours is left".into(),
        since: "2026-11-20T12:02:21Z".into(),
        who: "nobody".into(),
        command: None,
    });
    s.next_steps = vec![];
    s
}

pub(crate) fn event(id: u64, time: &str, kind: &str, severity: &str, message: &str) -> Event {
    Event {
        id,
        at: format!("2026-11-20T{time}Z"),
        migration: Some("orders".into()),
        kind: kind.into(),
        severity: severity.into(),
        message: message.into(),
        payload: Value::Null,
    }
}

pub(crate) fn checks() -> Vec<Check> {
    let check = |code: &str, class, side, evidence: &str, remedy: &str| Check {
        code: code.into(),
        class,
        required_at: "migrate".into(),
        side,
        evidence: evidence.into(),
        remedy: remedy.into(),
        at: "2026-11-20T12:00:00Z".into(),
        waived: None,
        waivable: class != CheckClass::Blocker,
    };
    vec![
        check("EXO-PRE-001", CheckClass::Pass, Some(Side::Source), "answers in 0.2 ms", ""),
        check(
            "EXO-PRE-014",
            CheckClass::Blocker,
            Some(Side::Target),
            "memory limit 1.0 GB, the source uses 1.4 GB and grows by 80 MB a day",
            "raise the target's memory limit to 2 GB",
        ),
        check(
            "EXO-PRE-021",
            CheckClass::Risk,
            Some(Side::Source),
            "nothing is written to disk: an acknowledged write can be lost with the server",
            "turn the append-only file on",
        ),
        check("EXO-PRE-030", CheckClass::Advice, None, "clocks differ by 3 ms", "none needed"),
    ]
}

/// A problem document.
pub(crate) fn problem(code: &'static str, detail: &str) -> Value {
    serde_json::to_value(Problem::new(code, detail)).unwrap_or_default()
}
