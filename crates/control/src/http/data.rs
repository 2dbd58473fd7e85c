use api::{
    Analysis, ClientShare, CommandShare, CompareCause, CompareReport, Divergence, Failure, Page,
    Pin, Tenant, Traffic, VerifyState,
};
use axum::extract::{Query, State};
use axum::response::Response;
use engine::WorkState;
use model::Key;
use serde::Deserialize;
use serde::Serialize;
use store::Kind;

use super::App;
use super::access::Of;
use super::answer::{Answer, Refusal, about, text};
use crate::clock::rfc3339;
use crate::dto::{from_text, to_text};
use crate::migration::Migration;
use crate::observe::{Window, comparisons};
use crate::progress::{DivergenceDoc, ParkedDoc};
use crate::samples as history;
use crate::status::{self, Look, side};

/// Largest page.
const PAGE_MAX: usize = 1_000;
/// Items of one export.
const EXPORT_MAX: usize = 1_000_000;

#[derive(Deserialize, Default)]
pub(super) struct Paging {
    pub(super) cursor: Option<String>,
    limit: Option<usize>,
    pub(super) state: Option<String>,
    class: Option<String>,
}

impl Paging {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, PAGE_MAX)
    }
}

/// A page of what a filter lets through, from documents ordered by id.
pub(super) async fn page<T>(
    migration: &Migration,
    kind: Kind,
    paging: &Paging,
    item: impl Fn(&store::Doc) -> Option<T>,
) -> anyhow::Result<Page<T>> {
    let world = &migration.world;
    let (limit, mut cursor) = (paging.limit(), paging.cursor.clone());
    let mut items = Vec::new();
    loop {
        let after = cursor.as_deref();
        let docs = world.store.list(kind, Some(&world.id), after, PAGE_MAX).await?;
        let last = docs.len() < PAGE_MAX;
        for doc in &docs {
            cursor = Some(doc.id.clone());
            items.extend(item(doc));
            if items.len() == limit {
                return Ok(Page { items, next: cursor });
            }
        }
        if last {
            return Ok(Page { items, next: None });
        }
    }
}

fn names(migration: &Migration, id: &str) -> (String, String) {
    let family = migration.world.plugin.family();
    match from_text(id).map(|bytes| Key::new(&bytes)) {
        Some(key) => (family.show_key(&key), family.dataset_of(&key).as_str().to_owned()),
        None => (id.to_owned(), String::new()),
    }
}

fn divergence(migration: &Migration, doc: &store::Doc) -> Option<Divergence> {
    let body: DivergenceDoc = serde_json::from_slice(&doc.body).ok()?;
    let (key, dataset) = names(migration, &doc.id);
    let (likely_cause, reason) = said(body.likely_cause);
    Some(Divergence {
        id: doc.id.clone(),
        key,
        dataset,
        class: body.class,
        state: body.state,
        source: body.source,
        target: body.target,
        likely_cause,
        first_seen: body.first_seen,
        last_seen: body.last_seen,
        reason,
    })
}

/// A likely cause, or what a person said about it.
fn said(cause: Option<String>) -> (Option<String>, Option<String>) {
    match cause {
        Some(text) if text.starts_with("accepted: ") || text.starts_with("ignored: ") => {
            (None, Some(text))
        }
        other => (other, None),
    }
}

pub(super) fn failure(migration: &Migration, doc: &store::Doc) -> Option<Failure> {
    let body: ParkedDoc = serde_json::from_slice(&doc.body).ok()?;
    let (key, dataset) = names(migration, &doc.id);
    Some(Failure {
        id: doc.id.clone(),
        key,
        dataset,
        code: body.code,
        reason: body.reason,
        attempts: body.attempts,
        at: body.at,
    })
}

pub(super) async fn divergences(of: Of, Query(paging): Query<Paging>) -> Answer {
    let wanted = |d: &Divergence| {
        paging.state.as_ref().is_none_or(|s| *s == d.state)
            && paging.class.as_ref().is_none_or(|c| *c == d.class)
    };
    let found = page(&of.migration, Kind::Divergence, &paging, |doc| {
        divergence(&of.migration, doc).filter(&wanted)
    });
    about(&of.migration, found.await?)
}

pub(super) async fn export<T: Serialize>(
    migration: &Migration,
    kind: Kind,
    item: impl Fn(&store::Doc) -> Option<T>,
) -> Result<Response, Refusal> {
    let world = &migration.world;
    let docs = world.store.list(kind, Some(&world.id), None, EXPORT_MAX).await?;
    let mut lines = Vec::new();
    for one in docs.iter().filter_map(item) {
        serde_json::to_writer(&mut lines, &one).map_err(anyhow::Error::from)?;
        lines.push(b'\n');
    }
    Ok(text("application/x-ndjson", lines))
}

pub(super) async fn export_divergences(of: Of) -> Answer {
    export(&of.migration, Kind::Divergence, |doc| divergence(&of.migration, doc)).await
}

pub(super) async fn failures(of: Of, Query(paging): Query<Paging>) -> Answer {
    let found = page(&of.migration, Kind::Parked, &paging, |doc| failure(&of.migration, doc));
    about(&of.migration, found.await?)
}

pub(super) async fn verify(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let Some(engine) = &look.engine else {
        return about(
            &of.migration,
            VerifyState { state: "idle".to_owned(), ..VerifyState::default() },
        );
    };
    let verify = &engine.verify;
    let state = match verify.state {
        WorkState::Idle => "idle",
        WorkState::Running => "running",
        WorkState::Paused => "paused",
        WorkState::Done => "done",
        WorkState::Failed => "failed",
    };
    let last = verify.last.as_ref();
    let total = last.map_or(0, |l| l.source_records.max(l.target_records));
    let shown = VerifyState {
        state: state.to_owned(),
        compared: verify.compared,
        total: total.max(verify.compared),
        differences: verify.open.max(verify.suspects),
        last_finished: last.filter(|l| l.finished).map(|l| rfc3339(l.watermark_ms + l.took_ms)),
        last_clean: last.filter(|l| l.finished).map(|l| l.clean),
    };
    about(&of.migration, shown)
}

pub(super) async fn traffic(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let world = &of.migration.world;
    let table = world.interlays.table();
    let pins = table
        .reads
        .pins
        .iter()
        .map(|(attribute, which)| Pin { attribute: to_text(attribute), side: side(*which) });
    let sample = table.compare.map_or(0, |c| c.sample_per_myriad);
    let shown = Traffic {
        reads: status::reads(world, &look),
        writes: status::writes(world, &look),
        pins: pins.collect(),
        compare_percent: f64::from(sample) / 100.0,
    };
    about(&of.migration, shown)
}

pub(super) async fn tenants(of: Of) -> Answer {
    let look = Look::at(&of.migration);
    let table = of.migration.world.interlays.table();
    let since = look.run.as_ref().map(|r| rfc3339(r.authority_since_ms));
    let known = look.plan.batches.iter().flat_map(|b| &b.tenants);
    let all: std::collections::BTreeSet<_> = known.chain(&table.authority.moved).collect();
    let shown: Vec<_> = all
        .into_iter()
        .map(|tenant| Tenant {
            tenant: to_text(tenant.as_bytes()),
            authority: side(table.authority.of(Some(tenant))),
            since: since.clone(),
        })
        .collect();
    about(&of.migration, shown)
}

/// What comparing reads found so far.
pub(crate) fn compared(migration: &Migration) -> CompareReport {
    let counts = comparisons(&migration.world);
    let mut out = CompareReport {
        compared: counts.judged(),
        equal: counts.equal,
        different: counts.different,
        only_other_failed: counts.errors,
        not_there_yet: counts.missing,
        skipped: counts.skipped,
        proves: counts.proves(),
        ..CompareReport::default()
    };
    let mut causes: std::collections::BTreeMap<&str, CompareCause> = Default::default();
    let family = migration.world.plugin.family();
    for handle in migration.world.interlays.handles() {
        let counts = handle.stats().compare;
        for sample in counts.samples {
            let slot = causes.entry(sample.class).or_insert_with(|| CompareCause {
                cause: format!("{} answered differently", sample.class),
                count: 0,
                samples: Vec::new(),
            });
            slot.count += 1;
            let key = sample.key.as_ref().map(|k| family.show_key(k)).unwrap_or_default();
            slot.samples.push(format!("{key}: {} / {}", sample.authority, sample.secondary));
        }
    }
    // Samples are uniform over all differences: each stands for its share of them.
    let samples: u64 = causes.values().map(|c| c.count).sum();
    for cause in causes.values_mut() {
        cause.count = (cause.count * out.different).div_ceil(samples.max(1));
    }
    out.causes = causes.into_values().collect();
    out.consistency_percent =
        (out.compared > 0).then(|| out.equal as f64 * 100.0 / out.compared as f64);
    out
}

pub(super) async fn compare(of: Of) -> Answer {
    about(&of.migration, compared(&of.migration))
}

/// The workload as the listeners see it.
pub(crate) async fn profile(migration: &Migration) -> Analysis {
    let world = &migration.world;
    let profiles: Vec<_> = world.interlays.handles().iter().map(|h| h.profile()).collect();
    let sum = Window::now(&world.interlays);
    let mut commands: std::collections::BTreeMap<&str, CommandShare> = Default::default();
    for class in profiles.iter().flat_map(|p| &p.classes) {
        let slot = commands.entry(class.class).or_insert_with(|| CommandShare {
            name: class.class.to_owned(),
            count: 0,
            errors: 0,
            note: None,
        });
        slot.count += class.count;
        slot.errors += class.errors;
    }
    let mut commands: Vec<_> = commands.into_values().collect();
    commands.sort_by_key(|c| std::cmp::Reverse(c.count));
    let mut clients: std::collections::BTreeMap<String, ClientShare> = Default::default();
    for handle in world.interlays.handles() {
        for one in handle.connections().await.unwrap_or_default() {
            let facts = &one.facts;
            let name = facts.user.clone().or_else(|| facts.name.clone());
            let name = name.or_else(|| facts.library.clone());
            let name = name.unwrap_or_else(|| one.address.ip().to_string());
            let slot = clients.entry(name.clone()).or_insert(ClientShare {
                name,
                connections: 0,
                requests: 0,
            });
            slot.connections += 1;
        }
    }
    let observed = profiles.iter().map(|p| p.over).max().unwrap_or_default();
    let fresh: usize = profiles.iter().map(|p| p.fingerprints_last_minute).sum();
    let look = Look::at(migration);
    let running = look.run.as_ref().is_some_and(|r| r.place() == workflow::Place::Analyze);
    Analysis {
        state: if running { "running" } else { "idle" }.to_owned(),
        observed_s: observed.as_secs(),
        requests: commands.iter().map(|c| c.count).sum(),
        reads: sum.reads,
        writes: sum.writes,
        risky: crate::tap::risky(world).await,
        clients: clients.into_values().collect(),
        new_fingerprints_per_min: fresh as f64,
        overhead_us: (!sum.overhead.is_empty())
            .then(|| (sum.overhead.value_at_quantile(0.5), sum.overhead.value_at_quantile(0.99))),
        recommendation: crate::reports::recommend(migration, &commands, &look),
        commands,
    }
}

pub(super) async fn analysis(of: Of) -> Answer {
    about(&of.migration, profile(&of.migration).await)
}

#[derive(Deserialize)]
pub(super) struct Span {
    from: Option<u64>,
    to: Option<u64>,
}

pub(super) async fn samples(State(app): State<App>, of: Of, Query(span): Query<Span>) -> Answer {
    let store = app.server.common.store.as_ref();
    let scope = &of.migration.world.id;
    let (from, to) = (span.from.unwrap_or(0), span.to.unwrap_or(u64::MAX));
    about(&of.migration, history::columns(store, scope, from, to).await?)
}
