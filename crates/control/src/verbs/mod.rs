//! What each verb of the API does: to the run, to the engine, or to the records.
//!
//! Layout: this file checks what is common (confirmation, reason, version) and dispatches;
//! `args` reads arguments, `run` are verbs the workflow decides, `data` those the engine carries
//! out, `other` the rest.

mod args;
mod data;
mod other;
mod run;

use std::sync::Arc;

use api::{Effect, Problem, Verb, VerbOutcome, VerbRequest};
use serde_json::Value;
use store::{Batch, Change, NewAudit};
use workflow::{By, Role};

use crate::migration::Migration;
use crate::status::{self, Look};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) roles: Vec<api::Role>,
}

impl Caller {
    /// The role it acts in, for a verb or a gate: the first that is entitled.
    fn role(&self, verb: Verb) -> Role {
        let entitled = self.roles.iter().find(|r| verb.info().roles.contains(r));
        let role = entitled.or(self.roles.first()).copied().unwrap_or(api::Role::Observer);
        role.as_str().parse().unwrap_or(Role::Observer)
    }
}

/// A verb somebody asked for.
pub(crate) struct Asked<'a> {
    pub(crate) migration: &'a Arc<Migration>,
    pub(crate) verb: Verb,
    pub(crate) caller: &'a Caller,
    pub(crate) request: &'a VerbRequest,
    pub(crate) version: Option<u64>,
}

/// What a verb leaves behind.
#[derive(Default)]
struct Done {
    message: String,
    undo: Option<String>,
    result: Option<Value>,
}

impl Done {
    fn said(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

type Outcome = Result<Done, Box<Problem>>;

fn problem(code: &'static str, detail: impl Into<String>) -> Box<Problem> {
    Box::new(Problem::new(code, detail))
}

/// Carries a verb out, or narrates it.
pub(crate) async fn ask(asked: &Asked<'_>) -> Result<VerbOutcome, Box<Problem>> {
    let info = asked.verb.info();
    let confirmed = asked.request.yes
        || asked.request.typed_name.as_deref() == Some(asked.migration.world.id.as_str());
    let look = Look::at(asked.migration);
    if asked.request.dry_run || (info.dangerous && !confirmed) {
        let mut told = narrate(asked, &look);
        if asked.verb == Verb::DiffRepair {
            told.result = Some(data::repair_plan(asked).await?);
        }
        return Ok(told);
    }
    if info.reason_required && asked.request.reason.as_deref().is_none_or(|r| r.trim().is_empty()) {
        return Err(problem("EXO-API-504", format!("`{}` is stored with its reason", info.name)));
    }
    if info.if_match {
        fresh(asked, &look)?;
    }
    let done = dispatch(asked).await?;
    Ok(VerbOutcome {
        verb: info.name.to_owned(),
        applied: true,
        effects: effects(asked, &look),
        undo: done.undo,
        message: done.message,
        result: done.result,
    })
}

/// The version it was decided on must be the present one. The loop looks again when it decides.
fn fresh(asked: &Asked<'_>, look: &Look) -> Result<(), Box<Problem>> {
    match asked.version {
        None => Err(problem("EXO-API-428", "send If-Match with the state_version you looked at")),
        Some(version) if version != look.version() => {
            let now = look.version();
            let detail = format!("the state is at version {now}, you looked at {version}");
            Err(Box::new(Problem::new("EXO-API-412", detail).version(now)))
        }
        Some(_) => Ok(()),
    }
}

async fn dispatch(asked: &Asked<'_>) -> Outcome {
    use Verb as V;
    match asked.verb {
        V::Start => run::start(asked).await,
        V::PreflightRun => other::preflight(asked).await,
        V::PreflightWaive => other::waive(asked).await,
        V::SmokeRun => other::smoke(asked).await,
        V::CompareSet => other::compare(asked).await,
        V::ThrottleSet => other::throttle(asked).await,
        V::ConfigApply => other::apply(asked).await,
        V::InterlayDrain => other::drain(asked).await,
        V::BackfillPause | V::BackfillResume | V::VerifyRun | V::VerifyPause | V::VerifyResume => {
            data::workers(asked).await
        }
        V::DiffRepair => data::repair(asked).await,
        V::DiffAccept => data::accept(asked).await,
        V::DiffRecheck => data::recheck(asked).await,
        V::QueueRetry => data::unpark(asked, true).await,
        V::QueueDrop => data::unpark(asked, false).await,
        V::DiffIgnore => data::ignore(asked).await,
        V::QueuePark => data::park(asked).await,
        _ => run::decided(asked).await,
    }
}

/// Who and why, as the workflow records it.
fn by(asked: &Asked<'_>) -> By {
    By {
        who: asked.caller.name.clone(),
        role: asked.caller.role(asked.verb),
        reason: asked.request.reason.clone().unwrap_or_default(),
    }
}

/// Each effect of a verb, in order.
fn effects(asked: &Asked<'_>, look: &Look) -> Vec<Effect> {
    let info = asked.verb.info();
    let action = status::allowed_actions(look).into_iter().find(|a| a.verb == info.name);
    let what = action.map_or_else(|| info.blast_radius.to_owned(), |a| a.blast_radius);
    let mut out = Vec::new();
    if let Some(steps) = run::barrier(asked, look) {
        out.extend(steps);
    } else {
        let touches = run::touches(asked.verb, &look.plan, look.run.as_ref()).to_owned();
        out.push(Effect { what, touches, estimated_ms: None });
    }
    out
}

/// A dry run: the same answer as the act, with nothing done.
fn narrate(asked: &Asked<'_>, look: &Look) -> VerbOutcome {
    let info = asked.verb.info();
    let action = status::allowed_actions(look).into_iter().find(|a| a.verb == info.name);
    let refused = action.as_ref().and_then(|a| a.why_not.clone());
    let message = match refused {
        Some(why) => format!("nothing was done; it would be refused now: {why}"),
        None if asked.request.dry_run => "nothing was done; this is what would happen".to_owned(),
        None => "nothing was done; repeat with --yes".to_owned(),
    };
    VerbOutcome {
        verb: info.name.to_owned(),
        applied: false,
        effects: effects(asked, look),
        undo: run::undo_of(asked.verb).map(str::to_owned),
        message,
        result: None,
    }
}

/// Enters a verb that the workflow does not record by itself.
async fn audit(asked: &Asked<'_>, details: Value) -> Result<(), Box<Problem>> {
    let world = &asked.migration.world;
    let by = by(asked);
    let entry = NewAudit {
        scope: world.id.clone(),
        at_ms: world.clock.now_ms(),
        actor: format!("{} ({})", by.who, by.role),
        action: asked.verb.as_str().to_owned(),
        reason: by.reason,
        payload: details.to_string(),
    };
    let committed = world.store.commit(Batch::decision(vec![Change::Audit(entry)])).await;
    committed.map_err(|e| stored(&e))?;
    Ok(())
}

fn stored(error: &store::StoreError) -> Box<Problem> {
    let mut out = Problem::new("EXO-API-503", error.to_string());
    out.code = error.code().to_owned();
    Box::new(out)
}
