//! Verbs that look, and the two that need a look before they act (gates, waivers).

use api::{
    Analysis, AuditEntry, AuditVerdict, Check, CompareReport, Criterion, Divergence, Endpoint,
    Gate, Interlay, IssuedToken, MigrationDetail, MigrationSummary, Page, Queue, QueueEntry, Role,
    Status, Tenant, Token, Traffic, Verb, VerifyState, Whoami,
};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::act::{self, with};
use crate::args::{Act, AuditVerb, GateAct, TokenVerb, WaiveArgs};
use crate::ctx::{Ctx, encode, path_of};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::http::Conditions;
use crate::table::Table;
use crate::text::{clean, count};
use crate::view;

/// Most items one list shows.
const PAGE: usize = 1000;

pub(crate) fn next(ctx: &mut Ctx<'_, '_>) -> Outcome {
    if !ctx.named() && ctx.migrations()?.is_empty() {
        ctx.io.say("There is no migration yet.");
        writeln!(ctx.io.out, "exodus init --source ADDRESS --target ADDRESS > move.yaml")?;
        writeln!(ctx.io.out, "exodus migration create move.yaml")?;
        return Ok(Exit::Done);
    }
    let path = ctx.path("status")?;
    ctx.show::<Status>(&path, |io, _, status| {
        let paint = io.paint();
        if let Some(waiting) = &status.waiting_on {
            let line = match waiting.kind.as_str() {
                "nothing" => format!("# waiting for {}", clean(&waiting.what)),
                _ => format!("# waiting: {} ({})", clean(&waiting.what), clean(&waiting.who)),
            };
            io.say(&line);
        }
        let nothing = status.waiting_on.as_ref().is_some_and(|w| w.kind == "nothing");
        if status.next_steps.is_empty() && nothing {
            io.say("# there is nothing left to do");
        } else if status.next_steps.is_empty() {
            io.say("# nothing to type; it moves by itself: exodus status -w");
        }
        for step in &status.next_steps {
            writeln!(io.out, "{}", paint.bold(&clean(&step.command)))?;
            io.say(&format!("    # {}", clean(&step.why)));
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

pub(crate) fn migrations(ctx: &mut Ctx<'_, '_>) -> Outcome {
    ctx.show::<Vec<MigrationSummary>>("/api/v1/migrations", |io, f, all| {
        view::fleet::migrations(io, f, all)
    })?;
    Ok(Exit::Done)
}

pub(crate) fn migration(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = format!("/api/v1/migrations/{}", encode(&ctx.migration()?));
    ctx.show::<MigrationDetail>(&path, view::fleet::migration)?;
    Ok(Exit::Done)
}

pub(crate) fn endpoints(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let all = ctx.show::<Vec<Endpoint>>("/api/v1/endpoints", |io, f, all| {
        view::fleet::endpoints(io, f, all)
    })?;
    Ok(if all.iter().all(|e| e.reachable) { Exit::Done } else { Exit::Blockers })
}

pub(crate) fn interlays(ctx: &mut Ctx<'_, '_>) -> Outcome {
    ctx.show::<Vec<Interlay>>("/api/v1/interlays", |io, f, all| {
        view::fleet::interlays(io, f, all)
    })?;
    Ok(Exit::Done)
}

pub(crate) fn checks(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("checks")?;
    let all = ctx.show::<Vec<Check>>(&path, |io, f, all| view::checks::checks(io, f, all))?;
    Ok(if view::checks::blockers(&all) > 0 { Exit::Blockers } else { Exit::Done })
}

pub(crate) fn criteria(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("criteria")?;
    ctx.show::<Vec<Criterion>>(&path, |io, f, all| view::checks::criteria(io, f, all))?;
    Ok(Exit::Done)
}

pub(crate) fn waive(ctx: &mut Ctx<'_, '_>, args: WaiveArgs) -> Outcome {
    let act = Act { reason: Some(args.reason), dry_run: args.dry_run };
    let arguments = [("check", json!(args.check)), ("expires_in_s", json!(args.expires.as_secs()))];
    act::run(ctx, Verb::PreflightWaive, with(act, arguments))
}

pub(crate) fn gates(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("gates")?;
    let all = ctx.show::<Vec<Gate>>(&path, |io, f, all| view::checks::gates(io, f, all))?;
    Ok(if all.iter().any(view::checks::asks) { Exit::Gate } else { Exit::Done })
}

/// Approves, rejects or revokes; without a name the one gate that waits.
pub(crate) fn gate(ctx: &mut Ctx<'_, '_>, verb: Verb, args: GateAct) -> Outcome {
    let name = match args.gate {
        Some(name) => name,
        None => only_gate(ctx)?,
    };
    let act = Act { reason: args.reason, dry_run: args.dry_run };
    act::run(ctx, verb, with(act, [("gate", Value::String(name))]))
}

fn only_gate(ctx: &Ctx<'_, '_>) -> Result<String, Failure> {
    let all: Vec<Gate> = ctx.typed(&ctx.client.get(&ctx.path("gates")?)?)?;
    let mut asking: Vec<String> =
        all.into_iter().filter(view::checks::asks).map(|g| g.name).collect();
    match asking.len() {
        1 => Ok(asking.remove(0)),
        0 => Err(Failure::usage("no gate waits for an approval").fix("exodus approvals list")),
        _ => Err(Failure::usage(format!("several gates wait: {}", clean(&asking.join(", "))))
            .fix(format!("exodus approve {}", clean(&asking[0])))),
    }
}

pub(crate) fn traffic(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("traffic")?;
    ctx.show::<Traffic>(&path, view::traffic::traffic)?;
    Ok(Exit::Done)
}

pub(crate) fn analysis(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("analysis")?;
    ctx.show::<Analysis>(&path, view::traffic::analysis)?;
    Ok(Exit::Done)
}

pub(crate) fn compare(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("compare")?;
    let report = ctx.show::<CompareReport>(&path, view::traffic::compare)?;
    Ok(if report.different > 0 { Exit::Open } else { Exit::Done })
}

pub(crate) fn tenants(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("tenants")?;
    ctx.show::<Vec<Tenant>>(&path, |io, format, all| {
        let mut table = Table::new(&["tenant", "authority", "since"], "no tenant");
        for t in all {
            let since = t.since.clone().unwrap_or_default();
            table.row([t.tenant.clone(), t.authority.as_str().to_owned(), since]);
        }
        table.write(io, format)
    })?;
    Ok(Exit::Done)
}

pub(crate) fn throttle(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("status")?;
    ctx.show::<Status>(&path, |io, _, status| {
        let why = status.source.throttle_reason.as_deref().unwrap_or("nothing slows it");
        let granted = format!("{:.0} %", status.source.throttle_percent);
        let rate = format!("{} records/s", count(status.data.rate as u64));
        view::facts(io, &[("granted", granted), ("reason", why.to_owned()), ("copying", rate)])
    })?;
    Ok(Exit::Done)
}

pub(crate) fn backfill(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("status")?;
    let status = ctx.show::<Status>(&path, |io, f, s| view::data::backfill(io, f, &s.data))?;
    Ok(if status.data.failed > 0 { Exit::Open } else { Exit::Done })
}

pub(crate) fn verify(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("verify")?;
    let state = ctx.show::<VerifyState>(&path, view::data::verify)?;
    Ok(if state.last_clean == Some(false) { Exit::Open } else { Exit::Done })
}

pub(crate) fn divergences(ctx: &mut Ctx<'_, '_>, closed: bool) -> Outcome {
    let path = ctx.path(&format!("divergences?limit={PAGE}"))?;
    let mut open = 0;
    ctx.show::<Page<Divergence>>(&path, |io, format, page| {
        let stands = |d: &&Divergence| closed || is_open(d) || d.state == "ignored";
        let shown: Vec<_> = page.items.iter().filter(stands).cloned().collect();
        view::data::divergences(io, format, &shown)?;
        open = page.items.iter().filter(|d| is_open(d)).count();
        more(io, page.next.as_deref())
    })?;
    Ok(if open > 0 { Exit::Open } else { Exit::Done })
}

pub(crate) fn divergence(ctx: &mut Ctx<'_, '_>, id: &str) -> Outcome {
    let migration = ctx.migration()?;
    let mut cursor = String::new();
    let found = loop {
        let path = path_of(&migration, &format!("divergences?limit={PAGE}{cursor}"));
        let page: Page<Divergence> = ctx.typed(&ctx.client.get(&path)?)?;
        if let Some(found) = page.items.into_iter().find(|d| d.id == id) {
            break found;
        }
        match page.next {
            Some(next) => cursor = format!("&cursor={}", encode(&next)),
            None => {
                let what = format!("there is no difference {id}");
                return Err(Failure::usage(what).fix("exodus diff list --all"));
            }
        }
    };
    match ctx.format.document() {
        Some(document) => document.write(ctx.io, &json!(found))?,
        None => view::data::divergence(ctx.io, ctx.format, &found)?,
    }
    Ok(if is_open(&found) { Exit::Open } else { Exit::Done })
}

fn is_open(d: &Divergence) -> bool {
    matches!(d.state.as_str(), "suspected" | "confirmed")
}

/// Says that a list was cut; never cuts silently.
fn more(io: &mut crate::term::Io<'_>, next: Option<&str>) -> std::io::Result<()> {
    if next.is_some() {
        io.say(&format!("only the first {PAGE} are shown; `export` writes all of them"));
    }
    Ok(())
}

pub(crate) fn queue(ctx: &mut Ctx<'_, '_>) -> Outcome {
    let path = ctx.path("queue")?;
    let queue = ctx.show::<Queue>(&path, view::data::queue)?;
    Ok(if queue.status.parked > 0 { Exit::Open } else { Exit::Done })
}

pub(crate) fn entries(
    ctx: &mut Ctx<'_, '_>,
    state: Option<&str>,
    limit: u16,
    after: Option<&str>,
) -> Outcome {
    let state = state.map(|s| format!("&state={s}")).unwrap_or_default();
    let after = after.map(|a| format!("&cursor={}", encode(a))).unwrap_or_default();
    let path = ctx.path(&format!("queue/entries?limit={}{state}{after}", limit.max(1)))?;
    let page = ctx.show::<Page<QueueEntry>>(&path, |io, format, page| {
        view::data::entries(io, format, &page.items)?;
        if let Some(next) = &page.next {
            io.say(&format!("there is more: exodus queue peek --after '{next}'"));
        }
        Ok(())
    })?;
    let parked = page.items.iter().any(|e| e.state == "parked");
    Ok(if parked { Exit::Open } else { Exit::Done })
}

pub(crate) fn audit(ctx: &mut Ctx<'_, '_>, verb: &AuditVerb) -> Outcome {
    match verb {
        AuditVerb::Log => {
            let path = format!("/api/v1/audit?limit={PAGE}");
            ctx.show::<Page<AuditEntry>>(&path, |io, format, page| {
                view::people::audit(io, format, &page.items)
            })?;
            Ok(Exit::Done)
        }
        AuditVerb::Verify => {
            let verdict =
                ctx.show::<AuditVerdict>("/api/v1/audit/verify", |io, _, v| match v.broken_at {
                    Some(id) => writeln!(io.out, "NOT INTACT: entry {id} does not hold"),
                    None => writeln!(io.out, "intact: {} entries", count(v.entries)),
                })?;
            Ok(if verdict.intact { Exit::Done } else { Exit::Open })
        }
    }
}

pub(crate) fn token(ctx: &mut Ctx<'_, '_>, verb: TokenVerb) -> Outcome {
    match verb {
        TokenVerb::List => {
            ctx.show::<Vec<Token>>("/api/v1/tokens", |io, f, all| {
                view::people::tokens(io, f, all)
            })?;
        }
        TokenVerb::Create { name, role } => {
            let role = Role::parse(&role).ok_or_else(|| unknown_role(&role))?;
            let body = json!({"name": name, "roles": [role.as_str()]});
            let value = ctx.client.post("/api/v1/tokens", &body, &Conditions::default())?;
            let issued: IssuedToken = ctx.typed(&value)?;
            match ctx.format.document() {
                Some(document) => document.write(ctx.io, &value)?,
                None => {
                    ctx.io.say("It is shown only now:");
                    writeln!(ctx.io.out, "{}", clean(&issued.secret))?;
                }
            }
        }
        TokenVerb::Revoke { name } => {
            let all: Vec<Token> = ctx.typed(&ctx.client.get("/api/v1/tokens")?)?;
            let Some(token) = all.iter().find(|t| t.id == name || t.name == name) else {
                return Err(
                    Failure::usage(format!("there is no token {name}")).fix("exodus token list")
                );
            };
            let path = format!("/api/v1/tokens/{}", encode(&token.id));
            ctx.client.send(Method::DELETE, &path, &Value::Null, &Conditions::default())?;
            ctx.io.say(&format!("revoked {} ({})", clean(&token.name), clean(&token.id)));
        }
    }
    Ok(Exit::Done)
}

fn unknown_role(role: &str) -> Failure {
    let names: Vec<_> = Role::ALL.iter().map(|r| r.as_str()).collect();
    let near = crate::explain::nearest(role, names.iter().copied()).unwrap_or("observer");
    Failure::usage(format!("there is no role {role}; there are {}", names.join(", ")))
        .fix(format!("exodus token create NAME --role {near}"))
}

pub(crate) fn whoami(ctx: &mut Ctx<'_, '_>) -> Outcome {
    ctx.show::<Whoami>("/api/v1/whoami", |io, _, who| {
        let roles: Vec<_> = who.roles.iter().map(|r| r.as_str()).collect();
        let only =
            if who.migrations.is_empty() { "all".to_owned() } else { who.migrations.join(", ") };
        view::facts(
            io,
            &[("name", who.name.clone()), ("roles", roles.join(", ")), ("only for", only)],
        )
    })?;
    Ok(Exit::Done)
}

/// The status of a migration, once.
pub(crate) fn status_path(migration: &str) -> String {
    path_of(migration, "status")
}
