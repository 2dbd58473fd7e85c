//! From the command line to the verb's own module.

use std::ffi::OsString;

use api::Verb as Api;
use clap::Parser;
use serde_json::{Value, json};

use crate::act::{self, about, with};
use crate::args::{
    ApprovalsVerb, BackfillVerb, CompareVerb, DiffVerb, DrillVerb, EndpointVerb, Global,
    IncidentVerb, InterlayVerb, MigrationVerb, PreflightVerb, QueueVerb, RehearseVerb, TenantVerb,
    ThrottleVerb, TrafficVerb, Verb, VerifyVerb,
};
use crate::ctx::Ctx;
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::offline::Offline;
use crate::term::Io;
use crate::{explain, files, follow, init, lists, live, wait, watch};

/// The client alone, without the verbs the binary adds.
#[derive(Debug, Parser)]
#[command(
    name = "exodus",
    version,
    about = "Moves live databases with no downtime and no lost write"
)]
pub struct Client {
    /// Options every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Parses `args` (the first is the program's name) and runs the verb. Returns the exit code.
pub fn run_args<I>(args: I, io: &mut Io<'_>, offline: &dyn Offline) -> i32
where
    I: IntoIterator<Item = OsString>,
{
    match Client::try_parse_from(args) {
        Ok(client) => run(client.global, client.verb, io, offline),
        Err(error) => {
            let text = error.render().to_string();
            // Help and version are data; a mistake is a message. Nobody is left to tell when
            // the stream is gone.
            let _ = if error.use_stderr() {
                io.err.write_all(text.as_bytes())
            } else {
                io.out.write_all(text.as_bytes())
            };
            error.exit_code()
        }
    }
}

/// Runs one verb and returns the process's exit code.
pub fn run(global: Global, verb: Verb, io: &mut Io<'_>, offline: &dyn Offline) -> i32 {
    let json = global.output.is_json();
    match dispatch(global, verb, io, offline) {
        Ok(exit) => exit.code(),
        Err(failure) if failure.exit == Exit::Done => Exit::Done.code(),
        Err(failure) => {
            failure.write(io, json);
            failure.exit.code()
        }
    }
}

fn dispatch(global: Global, verb: Verb, io: &mut Io<'_>, offline: &dyn Offline) -> Outcome {
    match verb {
        Verb::Init(args) => init::run(io, offline, &args),
        Verb::Validate { file } => files::validate(io, global.output, offline, &file),
        Verb::Schema => {
            writeln!(io.out, "{:#}", offline.schema())?;
            Ok(Exit::Done)
        }
        Verb::Explain { code } => explain::run(io, global.output, code.as_deref()),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut offline.command(), "exodus", &mut script);
            io.out.write_all(&script)?;
            Ok(Exit::Done)
        }
        Verb::Interlay(InterlayVerb::Probe { address }) => init::probe(io, global.output, &address),
        verb => online(&mut Ctx::new(io, &global)?, verb),
    }
}

/// Verbs that need the server.
fn online(ctx: &mut Ctx<'_, '_>, verb: Verb) -> Outcome {
    match verb {
        Verb::Status(args) => watch::run(ctx, args.watch),
        Verb::Next => lists::next(ctx),
        Verb::Wait(args) => wait::run(ctx, &args),
        Verb::Events(args) => live::run(ctx, &args),
        Verb::Start(act) => act::run(ctx, Api::Start, act.into()),
        Verb::Advance(confirm) => follow::advance(ctx, confirm),
        Verb::Hold(act) => act::run(ctx, Api::Hold, act.into()),
        Verb::Release(act) => act::run(ctx, Api::Release, act.into()),
        Verb::StepBack(confirm) => act::run(ctx, Api::StepBack, confirm.into()),
        Verb::Retry(act) => act::run(ctx, Api::Retry, act.into()),
        Verb::Rollback(args) => follow::rollback(ctx, args),
        Verb::Panic(act) => act::run(ctx, Api::Panic, act.into()),
        Verb::Commit(confirm) => act::run(ctx, Api::Commit, confirm.into()),
        Verb::Finalize(confirm) => act::run(ctx, Api::Finalize, confirm.into()),
        Verb::Abandon(confirm) => act::run(ctx, Api::Abandon, confirm.into()),
        Verb::Cleanup(confirm) => act::run(ctx, Api::Cleanup, confirm.into()),
        Verb::Approve(gate) => lists::gate(ctx, Api::Approve, gate),
        Verb::Reject(gate) => lists::gate(ctx, Api::Reject, gate),
        Verb::Approvals(ApprovalsVerb::List) => lists::gates(ctx),
        Verb::Approvals(ApprovalsVerb::Revoke(gate)) => lists::gate(ctx, Api::Revoke, gate),
        Verb::Drill(DrillVerb::Smoke(act)) => act::run(ctx, Api::SmokeRun, act.into()),
        Verb::Rehearse(verb) => rehearse(ctx, verb),
        Verb::Traffic(verb) => traffic(ctx, verb),
        Verb::Tenant(verb) => tenant(ctx, verb),
        Verb::Throttle(verb) => throttle(ctx, verb),
        Verb::Incident(IncidentVerb::Hold { owner, act }) => {
            act::run(ctx, Api::IncidentHold, with(act, [("owner", Value::String(owner))]))
        }
        Verb::Incident(IncidentVerb::Release(act)) => {
            act::run(ctx, Api::IncidentRelease, act.into())
        }
        other => evidence(ctx, other),
    }
}

/// Verbs about data, evidence, people and set-up.
fn evidence(ctx: &mut Ctx<'_, '_>, verb: Verb) -> Outcome {
    match verb {
        Verb::Migration(MigrationVerb::Create { file, dry_run }) => {
            files::create(ctx, &file, dry_run)
        }
        Verb::Migration(MigrationVerb::List) => lists::migrations(ctx),
        Verb::Migration(MigrationVerb::Show) => lists::migration(ctx),
        Verb::Endpoint(EndpointVerb::List) => lists::endpoints(ctx),
        Verb::Endpoint(EndpointVerb::Test) => {
            follow::preflight(ctx)?;
            lists::endpoints(ctx)
        }
        Verb::Interlay(InterlayVerb::Drain { interlay, confirm }) => {
            let args = interlay.map(|name| ("interlay", Value::String(name)));
            act::run(ctx, Api::InterlayDrain, with(confirm, args))
        }
        Verb::Interlay(_) => lists::interlays(ctx),
        Verb::Preflight(PreflightVerb::Run) => {
            follow::preflight(ctx)?;
            lists::checks(ctx)
        }
        Verb::Preflight(PreflightVerb::Show) => lists::checks(ctx),
        Verb::Preflight(PreflightVerb::Criteria) => lists::criteria(ctx),
        Verb::Preflight(PreflightVerb::Waive(args)) => lists::waive(ctx, args),
        Verb::Backfill(verb) => backfill(ctx, verb),
        Verb::Verify(verb) => verify(ctx, verb),
        Verb::Diff(verb) => diff(ctx, verb),
        Verb::Queue(verb) => queue(ctx, verb),
        Verb::Compare(CompareVerb::Show) => lists::compare(ctx),
        Verb::Compare(CompareVerb::Set { sample, act }) => {
            act::run(ctx, Api::CompareSet, with(act, [("sample_percent", json!(sample))]))
        }
        Verb::Audit(verb) => lists::audit(ctx, &verb),
        Verb::Token(verb) => lists::token(ctx, verb),
        Verb::Plan { file } => files::plan(ctx, &file),
        Verb::Apply { file, digest, act } => files::apply(ctx, &file, digest, act),
        Verb::Report { kind } => files::report(ctx, kind),
        Verb::Runbook => files::runbook(ctx),
        Verb::Bundle { file } => files::bundle(ctx, &file),
        Verb::Whoami => lists::whoami(ctx),
        // Everything else was dispatched before.
        _ => Err(Failure::usage("this verb needs no server")),
    }
}

fn rehearse(ctx: &mut Ctx<'_, '_>, verb: RehearseVerb) -> Outcome {
    let what = |what: &str| [("what", Value::String(what.to_owned()))];
    match verb {
        RehearseVerb::Rollback(confirm) => follow::rehearsal(ctx, with(confirm, what("rollback"))),
        RehearseVerb::Cutover => {
            let request = api::VerbRequest { dry_run: true, ..Default::default() };
            act::run(ctx, Api::Rehearse, with(request, what("cutover")))
        }
    }
}

fn traffic(ctx: &mut Ctx<'_, '_>, verb: TrafficVerb) -> Outcome {
    match verb {
        TrafficVerb::Show => lists::traffic(ctx),
        TrafficVerb::Profile => lists::analysis(ctx),
        TrafficVerb::Set(set) => {
            let act = crate::args::Act { reason: set.reason, dry_run: set.dry_run };
            let args = [("percent", json!(set.reads)), ("force", json!(set.force))];
            act::run(ctx, Api::TrafficSet, with(act, args))
        }
        TrafficVerb::Pin { attribute, side, act } => {
            let side = match side {
                crate::args::PinSide::Source => "source",
                crate::args::PinSide::Target => "target",
            };
            let args = [("attribute", json!(attribute)), ("side", json!(side))];
            act::run(ctx, Api::TrafficPin, with(act, args))
        }
        TrafficVerb::Unpin { attribute, act } => {
            act::run(ctx, Api::TrafficUnpin, with(act, [("attribute", json!(attribute))]))
        }
    }
}

fn tenant(ctx: &mut Ctx<'_, '_>, verb: TenantVerb) -> Outcome {
    match verb {
        TenantVerb::List => lists::tenants(ctx),
        TenantVerb::Move { tenant, confirm } => {
            act::run(ctx, Api::TenantMove, with(confirm, [("tenant", json!(tenant))]))
        }
        TenantVerb::Return { tenant, act } => {
            act::run(ctx, Api::TenantReturn, with(act, [("tenant", json!(tenant))]))
        }
    }
}

fn throttle(ctx: &mut Ctx<'_, '_>, verb: ThrottleVerb) -> Outcome {
    match verb {
        ThrottleVerb::Show => lists::throttle(ctx),
        ThrottleVerb::Set { records_per_s, ttl, act } => {
            let mut args = vec![("records_per_s", json!(records_per_s))];
            args.extend(ttl.map(|ttl| ("ttl_s", json!(ttl.as_secs()))));
            act::run(ctx, Api::ThrottleSet, with(act, args))
        }
    }
}

fn backfill(ctx: &mut Ctx<'_, '_>, verb: BackfillVerb) -> Outcome {
    match verb {
        BackfillVerb::Show => lists::backfill(ctx),
        BackfillVerb::Pause(act) => act::run(ctx, Api::BackfillPause, act.into()),
        BackfillVerb::Resume(act) => act::run(ctx, Api::BackfillResume, act.into()),
    }
}

fn verify(ctx: &mut Ctx<'_, '_>, verb: VerifyVerb) -> Outcome {
    match verb {
        VerifyVerb::Show => lists::verify(ctx),
        VerifyVerb::Run { suspects, no_wait, act } => follow::verify(ctx, suspects, no_wait, act),
        VerifyVerb::Pause(act) => act::run(ctx, Api::VerifyPause, act.into()),
        VerifyVerb::Resume(act) => act::run(ctx, Api::VerifyResume, act.into()),
    }
}

fn diff(ctx: &mut Ctx<'_, '_>, verb: DiffVerb) -> Outcome {
    match verb {
        DiffVerb::List { all } => lists::divergences(ctx, all),
        DiffVerb::Show { id } => lists::divergence(ctx, &id),
        DiffVerb::Export => files::export(ctx, "divergences/export"),
        DiffVerb::Repair(keys) => act::run(ctx, Api::DiffRepair, about(keys)),
        DiffVerb::Accept(keys) => act::run(ctx, Api::DiffAccept, about(keys)),
        DiffVerb::Recheck(keys) => act::run(ctx, Api::DiffRecheck, about(keys)),
        DiffVerb::Ignore { keys, expires } => {
            let mut request = about(keys);
            request.args.insert("expires_in_s".to_owned(), json!(expires.as_secs()));
            act::run(ctx, Api::DiffIgnore, request)
        }
    }
}

fn queue(ctx: &mut Ctx<'_, '_>, verb: QueueVerb) -> Outcome {
    match verb {
        QueueVerb::Show => lists::queue(ctx),
        QueueVerb::Peek { state, limit, after } => {
            lists::entries(ctx, state.as_deref(), limit, after.as_deref())
        }
        QueueVerb::Export => files::export(ctx, "queue/export"),
        QueueVerb::Retry(keys) => act::run(ctx, Api::QueueRetry, about(keys)),
        QueueVerb::Park(keys) => act::run(ctx, Api::QueuePark, about(keys)),
        QueueVerb::Drop(keys) => act::run(ctx, Api::QueueDrop, about(keys)),
    }
}
