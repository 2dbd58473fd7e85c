//! The preflight: named checks with evidence, a remedy, and the step they are required for.
//!
//! Constraints: read-only towards both sides; a check that cannot be made says so and is never a
//! pass; what may not be waived is decided here and not by who asks.
//!
//! Layout: `own` are the checks that need no family; this file runs all, applies waivers, stores
//! the answers and tells the run what they prove.

mod own;

use std::sync::Arc;

use family::{Finding, Severity};
use model::Side;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, Change, Kind};
use tokio::sync::oneshot;
use workflow::{Environment, EvidenceKind, EvidenceOutcome, Fact};

use crate::clock::rfc3339;
use crate::evidence;
use crate::known;
use crate::world::World;

/// The step a check is required for, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RequiredAt {
    Start,
    ConnectTarget,
    Migrate,
    Commit,
}

impl RequiredAt {
    pub(crate) const ALL: [Self; 4] =
        [Self::Start, Self::ConnectTarget, Self::Migrate, Self::Commit];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::ConnectTarget => "connect_target",
            Self::Migrate => "migrate",
            Self::Commit => "commit",
        }
    }

    const fn evidence(self) -> EvidenceKind {
        match self {
            Self::Start => EvidenceKind::PreflightStart,
            Self::ConnectTarget => EvidenceKind::PreflightConnectTarget,
            Self::Migrate => EvidenceKind::PreflightMigrate,
            Self::Commit => EvidenceKind::PreflightCommit,
        }
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) finding: Finding,
    pub(crate) required_at: RequiredAt,
    /// Never waived in prod.
    pub(crate) firm: bool,
}

/// A waiver that was given at run time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WaiverDoc {
    pub(crate) reason: String,
    pub(crate) author: String,
    pub(crate) expires_ms: u64,
}

/// Runs every check beside everything else. What is returned ends when they have ended.
pub(crate) fn begin(world: &Arc<World>) -> oneshot::Receiver<()> {
    let (done, ended) = oneshot::channel();
    world.spawn(async move |world| {
        if let Err(error) = run(&world).await {
            tracing::error!(migration = world.id, %error, "the preflight was not stored");
        }
        let _ = done.send(());
    });
    ended
}

/// Runs every check, stores the answers and tells the run.
pub(crate) async fn run(world: &World) -> anyhow::Result<Vec<api::Check>> {
    let _running = world.checking();
    let mut answers = own::checks(world);
    answers.extend(family_checks(world).await);
    let waivers = waivers(world).await?;
    let now = world.clock.now_ms();
    let environment = world.document.load().environment.0;
    let shown: Vec<_> = answers.iter().map(|one| show(one, &waivers, environment, now)).collect();
    let mut changes = vec![Change::Clear { kind: Kind::Check, scope: world.id.clone() }];
    for (index, check) in shown.iter().enumerate() {
        let body = serde_json::to_vec(check)?;
        changes.push(Change::put(Kind::Check, &world.id, &format!("{index:04}"), body));
    }
    world.store.commit(Batch::data(changes)).await?;
    for at in RequiredAt::ALL {
        tell(world, at, &shown).await;
    }
    redirect(world).await;
    let counts = |class| shown.iter().filter(|c| c.class == class).count();
    let fields = json!({
        "blocker": counts(api::CheckClass::Blocker), "risk": counts(api::CheckClass::Risk),
        "pass": counts(api::CheckClass::Pass),
    });
    world.emit("preflight_done", fields).await;
    Ok(shown)
}

/// The stored answers of the last run.
pub(crate) async fn stored(world: &World) -> anyhow::Result<Vec<api::Check>> {
    let docs = world.store.list(Kind::Check, Some(&world.id), None, 10_000).await?;
    docs.iter().map(|doc| serde_json::from_slice(&doc.body).map_err(Into::into)).collect()
}

/// Every waiver in force: code to (author, reason, end).
type Waivers = Vec<(String, WaiverDoc)>;

async fn waivers(world: &World) -> anyhow::Result<Waivers> {
    let mut all = Vec::new();
    for waiver in &world.document.load().checks.waivers {
        let end = waiver.expires.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        let expires_ms = end.ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        let doc =
            WaiverDoc { reason: waiver.reason.clone(), author: waiver.author.clone(), expires_ms };
        all.push((waiver.code.clone(), doc));
    }
    for doc in world.store.list(Kind::Waiver, Some(&world.id), None, 10_000).await? {
        all.push((doc.id, serde_json::from_slice(&doc.body)?));
    }
    Ok(all)
}

fn show(one: &Checked, waivers: &Waivers, environment: Environment, now: u64) -> api::Check {
    let finding = &one.finding;
    let waivable = !(one.firm && environment == Environment::Prod)
        && matches!(finding.severity, Severity::Risk | Severity::Blocker);
    let waiver = waivers
        .iter()
        .filter(|(code, w)| waivable && code == finding.code && w.expires_ms > now)
        .max_by_key(|(_, w)| w.expires_ms);
    api::Check {
        code: finding.code.to_owned(),
        class: match finding.severity {
            Severity::Pass => api::CheckClass::Pass,
            Severity::NotRun => api::CheckClass::NotRun,
            Severity::Advice => api::CheckClass::Advice,
            Severity::Risk => api::CheckClass::Risk,
            Severity::Blocker => api::CheckClass::Blocker,
        },
        required_at: one.required_at.as_str().to_owned(),
        side: finding.side.map(crate::status::side),
        evidence: finding.evidence.clone(),
        remedy: finding.remedy.clone(),
        at: rfc3339(now),
        waived: waiver
            .map(|(_, w)| format!("{} until {}: {}", w.author, rfc3339(w.expires_ms), w.reason)),
        waivable,
    }
}

async fn family_checks(world: &World) -> Vec<Checked> {
    let mut out = Vec::new();
    let (source, target) = (world.database(Side::Source), world.database(Side::Target));
    for (database, required_at) in
        [(&source, RequiredAt::Start), (&target, RequiredAt::ConnectTarget)]
    {
        let Some(database) = database else { continue };
        let findings = database.assess().await;
        known::look(world, database.side()).await;
        out.extend(findings.into_iter().map(|f| Checked { finding: f, required_at, firm: false }));
    }
    if let (Some(source), Some(target)) = (&source, &target) {
        let findings = world.plugin.family().compare_endpoints(source, target).await;
        out.extend(findings.into_iter().map(|finding| Checked {
            finding,
            required_at: RequiredAt::ConnectTarget,
            // That both sides are different systems is what everything else rests on.
            firm: true,
        }));
    }
    out
}

/// What the checks required up to a step prove.
async fn tell(world: &World, at: RequiredAt, shown: &[api::Check]) {
    let kind = at.evidence();
    let due: Vec<_> = shown
        .iter()
        .filter(|c| RequiredAt::ALL.iter().any(|r| *r <= at && r.as_str() == c.required_at))
        .collect();
    let blocks: Vec<_> = due
        .iter()
        .filter(|c| c.class == api::CheckClass::Blocker && c.waived.is_none())
        .map(|c| format!("{}: {}", c.code, c.evidence))
        .collect();
    let outcome = match blocks.is_empty() {
        true => EvidenceOutcome::Pass,
        false => EvidenceOutcome::Fail,
    };
    let summary = match blocks.first() {
        None => format!("{} checks, nothing blocks", due.len()),
        Some(first) => format!("{} of {} checks block, first {first}", blocks.len(), due.len()),
    };
    // Times and numbers change with every run; what people sign is what was found.
    let found: Vec<_> =
        due.iter().map(|c| json!([c.code, c.class, c.side, c.waived.is_some()])).collect();
    let report = json!({ "summary": summary, "checks": found, "blocks": blocks });
    let digest = evidence::keep(world, kind, outcome, &report).await;
    world.report(Fact::EvidenceAdded { kind, digest, outcome }).await;
}

/// Sessions that reach the source without an interlay.
pub(crate) async fn direct_sessions(world: &World) -> Result<Vec<String>, String> {
    let database = world.database(Side::Source).ok_or("the source is not connected")?;
    let foreign = database.foreign_sessions().await.map_err(|e| e.to_string())?;
    let mut ours = Vec::new();
    for handle in world.interlays.handles() {
        let addresses = handle.upstream_addresses().await.map_err(|e| e.to_string())?;
        ours.extend(addresses.iter().map(ToString::to_string));
    }
    let through = |session: &String| ours.iter().any(|own| session.split(' ').next() == Some(own));
    Ok(foreign.into_iter().filter(|session| !through(session)).collect())
}

/// Tells the run whether every session comes through an interlay.
pub(crate) async fn redirect(world: &World) {
    let kind = EvidenceKind::Redirect;
    let direct = direct_sessions(world).await;
    world.set_direct(direct.as_ref().ok().map(|all| all.len() as u64));
    let (outcome, report) = match direct {
        Ok(direct) if direct.is_empty() => {
            (EvidenceOutcome::Pass, json!({ "summary": "every session comes through an interlay" }))
        }
        Ok(direct) => {
            let summary = format!("{} sessions reach the source directly", direct.len());
            let some: Vec<_> = direct.iter().take(100).collect();
            (EvidenceOutcome::Fail, json!({ "summary": summary, "sessions": some }))
        }
        Err(why) => (EvidenceOutcome::Inconclusive, json!({ "summary": why })),
    };
    let digest = evidence::keep(world, kind, outcome, &report).await;
    world.report(Fact::EvidenceAdded { kind, digest, outcome }).await;
}
