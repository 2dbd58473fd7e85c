//! Verbs that change something: look, say what it would do or do it, say how it is afterwards.

use api::{Envelope, Status, Verb, VerbOutcome, VerbRequest};
use serde_json::{Map, Value};

use crate::args::{Act, Confirm, Keys};
use crate::ctx::{Ctx, path_of};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::http::Conditions;
use crate::view;

/// How often a harmless verb looks again when the state moved between look and act.
const LOOKS: usize = 4;
/// Codes by which the server says that the state moved since the client looked.
const STALE: &[&str] = &["EXO-API-412"];

impl From<Act> for VerbRequest {
    fn from(act: Act) -> Self {
        Self { reason: act.reason, dry_run: act.dry_run, ..Self::default() }
    }
}

impl From<Confirm> for VerbRequest {
    fn from(confirm: Confirm) -> Self {
        Self {
            reason: confirm.reason,
            dry_run: confirm.dry_run,
            yes: confirm.yes,
            typed_name: confirm.confirm,
            ..Self::default()
        }
    }
}

/// A request with arguments.
pub(crate) fn with(
    request: impl Into<VerbRequest>,
    args: impl IntoIterator<Item = (&'static str, Value)>,
) -> VerbRequest {
    let mut request = request.into();
    request.args = args.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>();
    request
}

/// A request about records. `yes` is for verbs that only narrate without it.
pub(crate) fn about(keys: Keys) -> VerbRequest {
    let args = if keys.all {
        ("all", Value::Bool(true))
    } else {
        ("ids", Value::Array(keys.ids.into_iter().map(Value::String).collect()))
    };
    let mut request = with(keys.act, [args]);
    request.yes = keys.yes;
    request
}

/// Sends the verb and shows what it did, or would do.
pub(crate) fn run(ctx: &mut Ctx<'_, '_>, verb: Verb, request: VerbRequest) -> Outcome {
    let sent = send(ctx, verb, &request)?;
    show(ctx, verb, &request, &sent)?;
    Ok(Exit::Done)
}

/// What came of a verb.
pub(crate) struct Sent {
    /// The server's document.
    pub(crate) value: Value,
    /// Its data.
    pub(crate) outcome: VerbOutcome,
    /// What was decided on; absent for verbs that look at nothing before they act.
    pub(crate) before: Option<Status>,
}

/// Sends the verb.
pub(crate) fn send(ctx: &Ctx<'_, '_>, verb: Verb, request: &VerbRequest) -> Result<Sent, Failure> {
    let migration = ctx.migration()?;
    let path = path_of(&migration, &format!("verbs/{}", verb.as_str()));
    let body = serde_json::to_value(request).map_err(|e| {
        Failure::new("EXO-CLI-004", Exit::Internal, format!("cannot write the request: {e}"))
    })?;
    let info = verb.info();
    let first = if info.if_match { Some(ctx.status(&migration)?.1) } else { None };
    let mut version = first.as_ref().map(|s| s.state_version);
    let mut looks = 1;
    loop {
        let answer = ctx.client.post(&path, &body, &Conditions { if_match: version });
        let value = match answer {
            Ok(value) => value,
            Err(failure) if looks < LOOKS && STALE.contains(&&*failure.code) => {
                let Some(first) = &first else { return Err(failure) };
                let now = ctx.status(&migration)?.1;
                // What the operator decided on still stands; only counters moved.
                if !same_place(first, &now) {
                    return Err(moved(first, &now, failure));
                }
                version = Some(now.state_version);
                looks += 1;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let outcome = ctx.typed::<VerbOutcome>(&value)?;
        return Ok(Sent { value, outcome, before: first });
    }
}

fn same_place(a: &Status, b: &Status) -> bool {
    let place = |s: &Status| {
        (s.phase.step.clone(), s.phase.state.clone(), s.writes.authority, s.reads.asked_percent)
    };
    place(a) == place(b)
}

fn moved(then: &Status, now: &Status, mut failure: Failure) -> Failure {
    failure.what = format!(
        "the run moved since you looked: it was at {} ({}), it is at {} ({})",
        then.phase.step, then.phase.state, now.phase.step, now.phase.state
    )
    .into();
    failure.impact = Some("nothing was changed by this command".into());
    failure.fix = Some("exodus status, then decide again".into());
    failure
}

/// Shows an outcome and what to do next.
pub(crate) fn show(
    ctx: &mut Ctx<'_, '_>,
    verb: Verb,
    request: &VerbRequest,
    Sent { value, outcome, .. }: &Sent,
) -> Result<(), Failure> {
    if let Some(document) = ctx.format.document() {
        document.write(ctx.io, value)?;
        return Ok(());
    }
    view::outcome::write(ctx.io, ctx.format, outcome)?;
    if !outcome.applied && !request.dry_run {
        let more = confirm_hint(verb, value);
        ctx.io.say(&format!("Nothing was changed. To do it: {more}"));
    } else if outcome.applied
        && verb != Verb::Rollback
        && let Ok(envelope) = serde_json::from_value::<Envelope<Value>>(value.clone())
    {
        view::outcome::next(ctx.io, &envelope)?;
    }
    Ok(())
}

/// The command with what it needs to act.
fn confirm_hint(verb: Verb, value: &Value) -> String {
    let actions = value["allowed_actions"].as_array();
    let action = actions.and_then(|all| all.iter().find(|a| a["verb"] == verb.as_str()));
    let command = action.and_then(|a| a["command"].as_str()).unwrap_or("the same command");
    let mut hint = crate::text::clean(command);
    if !hint.contains("--yes") {
        hint.push_str(" --yes");
    }
    if verb.info().reason_required && !hint.contains("--reason") {
        hint.push_str(" --reason WHY");
    }
    hint
}
