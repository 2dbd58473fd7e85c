//! What stands in the way of a migration, found before it does.
//!
//! Every check is a question and a pure judgement of the answer: one finding each, whose evidence
//! is what was measured and whose remedy can be pasted. A question that fails is a finding too.
//!
//! Layout: `server` what the system must be set up for, `content` what the database contains,
//! `pair` what only both sides together show.

mod content;
mod pair;
mod server;

use family::{Finding, PortError, Severity};
use model::Side;

use crate::conn::{Conn, Link, Row};
use crate::database::PostgresDatabase;

pub(crate) use pair::both;

/// Names shown of a list; the rest is counted.
const SHOWN_MAX: usize = 8;

/// What a judgement may know besides the answer.
#[derive(Debug, Clone)]
struct Facts {
    side: Side,
    version: u32,
    user: String,
    application_users: Vec<String>,
}

/// A question and how its answer is judged.
struct Check {
    code: &'static str,
    sql: String,
    judge: fn(&Facts, &[Row]) -> Result<Judged, PortError>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judged {
    severity: Severity,
    evidence: String,
    remedy: String,
}

impl Judged {
    fn new(severity: Severity, evidence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity, evidence: evidence.into(), remedy: remedy.into() }
    }

    fn pass(evidence: impl Into<String>) -> Self {
        Self::new(Severity::Pass, evidence, "nothing to do")
    }

    /// Found at most a list of names: fine when it is empty.
    fn list(severity: Severity, names: &[String], what: &str, remedy: impl Into<String>) -> Self {
        if names.is_empty() {
            return Self::pass(format!("no {what}"));
        }
        Self::new(severity, format!("{} {what}: {}", names.len(), shown(names)), remedy)
    }

    fn of(self, code: &'static str, side: Option<Side>) -> Finding {
        let Self { severity, evidence, remedy } = self;
        Finding { code, severity, side, evidence, remedy }
    }
}

/// Checks that concern one side.
pub(crate) async fn side(database: &PostgresDatabase) -> Vec<Finding> {
    let link: &Link = database.link();
    let side = Some(link.side());
    let mut conn = match database.control().await {
        Ok(conn) => conn,
        Err(error) => {
            let remedy = "check address, database, user and secret of the endpoint";
            return vec![
                Judged::new(Severity::Blocker, error.to_string(), remedy).of("EXO-PRE-201", side),
            ];
        }
    };
    let facts = Facts {
        side: link.side(),
        version: conn.version(),
        user: link.user().to_owned(),
        application_users: link.application_users().to_vec(),
    };
    let mut found = Vec::new();
    for check in server::checks(&facts).into_iter().chain(content::checks(&facts)) {
        let judged = ask(&mut conn, &facts, &check).await.unwrap_or_else(|error| {
            Judged::new(Severity::NotRun, error.to_string(), "see the error's own page")
        });
        found.push(judged.of(check.code, side));
    }
    found
}

async fn ask(conn: &mut Conn, facts: &Facts, check: &Check) -> Result<Judged, PortError> {
    let rows = conn.query(&check.sql).await?;
    (check.judge)(facts, &rows)
}

/// First column of each row.
fn names(rows: &[Row]) -> Result<Vec<String>, PortError> {
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// Some names of a list, and how many more there are.
fn shown(names: &[String]) -> String {
    let front = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN_MAX) {
        Some(more) if more > 0 => format!("{front} and {more} more"),
        _ => front,
    }
}

/// The row of a question that has one.
fn one(rows: &[Row]) -> Result<&Row, PortError> {
    rows.first().ok_or_else(|| crate::error::unexpected("a check", "the server"))
}
