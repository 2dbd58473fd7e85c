//! Verbs that read or write files: configurations, exports, reports.

use std::fs::File;
use std::path::Path;

use api::{ConfigPlan, MigrationSummary, Validation, Verb};
use serde_json::json;

use crate::act::{self, with};
use crate::args::{Act, ReportKind};
use crate::ctx::{Ctx, path_of};
use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::http::Conditions;
use crate::offline::Offline;
use crate::output::Format;
use crate::table::Table;
use crate::term::Io;
use crate::text::{bytes, clean};

/// Larger than any configuration.
const CONFIG_MAX: u64 = 4 << 20;

/// Checks a configuration without a server.
pub(crate) fn validate(
    io: &mut Io<'_>,
    format: Format,
    offline: &dyn Offline,
    file: &Path,
) -> Outcome {
    let name = file.display().to_string();
    let found = offline.validate(&read(file)?, &name);
    match format.document() {
        Some(document) => document.write(io, &json!(found))?,
        None if found.valid => {
            let migration = found.migration.as_deref().unwrap_or("?");
            writeln!(io.out, "{}: valid, migration {}", clean(&name), clean(migration))?;
            let name = clean(&name);
            io.say(&format!("next: exodus serve, then: exodus migration create {name}"));
        }
        None => problems(io, &name, &found),
    }
    Ok(if found.valid { Exit::Done } else { Exit::Usage })
}

/// Every problem in the error form, the first one first.
fn problems(io: &mut Io<'_>, file: &str, found: &Validation) {
    for problem in &found.problems {
        let place = match (problem.line, problem.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => file.to_owned(),
        };
        let place = match &problem.path {
            Some(path) => format!("{place} ({path})"),
            None => place,
        };
        let mut failure =
            Failure::new(&problem.code, Exit::Usage, problem.message.clone()).at(place);
        failure.impact = Some("the configuration is refused as a whole".into());
        failure.fix = problem.fix.as_deref().map(Into::into);
        failure.write(io, false);
    }
}

/// Creates a migration on the server.
pub(crate) fn create(ctx: &mut Ctx<'_, '_>, file: &Path, dry_run: bool) -> Outcome {
    let body = json!({"yaml": read(file)?, "name": file.display().to_string()});
    if dry_run {
        let value = ctx.client.post("/api/v1/validate", &body, &Conditions::default())?;
        let found: Validation = ctx.typed(&value)?;
        match ctx.format.document() {
            Some(document) => document.write(ctx.io, &value)?,
            None if found.valid => {
                let name = clean(found.migration.as_deref().unwrap_or("?"));
                writeln!(ctx.io.out, "dry run: would create migration {name}")?;
            }
            None => problems(ctx.io, &file.display().to_string(), &found),
        }
        return Ok(if found.valid { Exit::Done } else { Exit::Usage });
    }
    let value = ctx.client.post("/api/v1/migrations", &body, &Conditions::default())?;
    let made: MigrationSummary = ctx.typed(&value)?;
    match ctx.format.document() {
        Some(document) => document.write(ctx.io, &value)?,
        None => {
            let name = clean(&made.id);
            writeln!(ctx.io.out, "created migration {name}: {} decides", made.authority.as_str())?;
            let envelope: Result<api::Envelope<serde_json::Value>, _> =
                serde_json::from_value(value);
            if let Ok(envelope) = envelope {
                crate::view::outcome::next(ctx.io, &envelope)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// What a changed configuration would change.
pub(crate) fn plan(ctx: &mut Ctx<'_, '_>, file: &Path) -> Outcome {
    let body = json!({"yaml": read(file)?, "name": file.display().to_string()});
    let path = ctx.path("plan")?;
    let value = ctx.client.post(&path, &body, &Conditions::default())?;
    let plan: ConfigPlan = ctx.typed(&value)?;
    match ctx.format.document() {
        Some(document) => document.write(ctx.io, &value)?,
        None => {
            let mut table = Table::new(&["when", "what", "now", "then"], "no change");
            for change in &plan.changes {
                let when = serde_json::to_value(change.kind).unwrap_or_default();
                table.row([
                    when.as_str().unwrap_or_default().replace('_', " "),
                    change.path.clone(),
                    change.from.clone().unwrap_or_else(|| "–".to_owned()),
                    change.to.clone().unwrap_or_else(|| "–".to_owned()),
                ]);
            }
            table.write(ctx.io, ctx.format)?;
            if !plan.changes.is_empty() {
                let file = file.display();
                let command = format!("exodus apply {file} --digest {}", clean(&plan.digest));
                ctx.io.say(&format!("next: {command}"));
            }
        }
    }
    Ok(if plan.changes.is_empty() { Exit::Done } else { Exit::Changes })
}

pub(crate) fn apply(ctx: &mut Ctx<'_, '_>, file: &Path, digest: String, act: Act) -> Outcome {
    let args = [("yaml", json!(read(file)?)), ("digest", json!(digest))];
    act::run(ctx, Verb::ConfigApply, with(act, args))
}

/// Lines of an export, as the server sends them.
pub(crate) fn export(ctx: &mut Ctx<'_, '_>, what: &str) -> Outcome {
    let path = ctx.path(what)?;
    ctx.client.download(&path, ctx.io.out)?;
    Ok(Exit::Done)
}

pub(crate) fn report(ctx: &mut Ctx<'_, '_>, kind: ReportKind) -> Outcome {
    let kind = match kind {
        ReportKind::Assessment => "assessment",
        ReportKind::Final => "final",
    };
    let path = ctx.path(&format!("reports/{kind}"))?;
    let value = ctx.client.get(&path)?;
    let document = ctx.format.document().unwrap_or(crate::output::Document::Json);
    document.write(ctx.io, &value)?;
    Ok(Exit::Done)
}

pub(crate) fn runbook(ctx: &mut Ctx<'_, '_>) -> Outcome {
    export(ctx, "runbook")
}

/// Writes the incident bundle to a file that must not exist yet.
pub(crate) fn bundle(ctx: &mut Ctx<'_, '_>, file: &Path) -> Outcome {
    let path = path_of(&ctx.migration()?, "bundle");
    let mut out = File::create_new(file).map_err(|e| unusable(file, "write", &e))?;
    let size = ctx.client.download(&path, &mut out)?;
    ctx.io.say(&format!("{}: {}", file.display(), bytes(size)));
    Ok(Exit::Done)
}

/// The text of a configuration.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let size = std::fs::metadata(file).map_err(|e| unusable(file, "read", &e))?.len();
    if size > CONFIG_MAX {
        let what = format!("{} is no configuration: {}", file.display(), bytes(size));
        return Err(Failure::usage(what).at(file.display().to_string()));
    }
    std::fs::read_to_string(file).map_err(|e| unusable(file, "read", &e))
}

/// A file that cannot be read or written.
pub(crate) fn unusable(file: &Path, what: &str, error: &std::io::Error) -> Failure {
    Failure::new("EXO-CLI-010", Exit::Usage, format!("cannot {what} the file: {error}"))
        .at(file.display().to_string())
        .impact("nothing was changed")
        .fix(format!("ls -l {}", file.display()))
}
