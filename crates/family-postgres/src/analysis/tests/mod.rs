//! Verdicts, as a table and against a real server.

mod commands;
mod gaps;
mod limits;
mod live;
mod table;

use std::fmt::Write as _;
use std::sync::Arc;

use model::Side;

use super::{Access, Analysis, Catalog, Named, Verdict};
use crate::conn::{Conn, Link, Purpose};
use crate::support::Cluster;

const SCHEMA: &str = include_str!("schema.sql");

/// A database with one of everything.
struct Shop {
    cluster: Arc<Cluster>,
    database: String,
}

impl Shop {
    fn open() -> Self {
        let cluster = Cluster::shared();
        let database = cluster.database();
        cluster.sql(&database, SCHEMA);
        Self { cluster, database }
    }

    async fn connect(&self) -> Conn {
        let spec = self.cluster.spec(Side::Source, &self.database);
        let link = Link::new(&spec, Arc::default()).expect("a link");
        link.connect(Purpose::of("test")).await.expect("let in")
    }

    async fn catalog(&self) -> Catalog {
        Catalog::load(&mut self.connect().await).await.expect("a catalog")
    }
}

/// A verdict in one line: what differs from a read without any objection.
fn line(verdict: &Verdict) -> String {
    let access = match &verdict.access {
        Access::Read => "read".to_owned(),
        Access::Session => "session".to_owned(),
        Access::Utility => "utility".to_owned(),
        Access::Write => "write".to_owned(),
        Access::Ddl => "ddl".to_owned(),
        Access::Refused => "refused".to_owned(),
        Access::Transaction(one) => format!("{one:?}"),
        Access::Copy(copy) => format!("copy {:?}", copy.direction),
    };
    let mut line = format!("{access} [{}]", verdict.kind.word());
    if let Some(reason) = verdict.may_write {
        let _ = write!(line, " writes:{}", reason.word());
    }
    for (name, promise) in [
        ("follower", verdict.follower),
        ("deterministic", verdict.deterministic),
        ("preparable", verdict.preparable),
    ] {
        match promise {
            Ok(()) => {}
            Err(reason) if verdict.may_write == Some(reason) => {
                let _ = write!(line, " -{name}");
            }
            Err(reason) => {
                let _ = write!(line, " -{name}:{}", reason.word());
            }
        }
    }
    if !verdict.leaves.is_empty() {
        let _ = write!(line, " leaves {:?}", verdict.leaves);
    }
    for (what, names) in
        [("from", &verdict.reads), ("into", &verdict.writes), ("calls", &verdict.functions)]
    {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            let _ = write!(line, " {what} {}", names.join(","));
        }
    }
    for setting in &verdict.settings {
        let _ = write!(line, " {:?} {}", setting.change, setting.name);
    }
    match &verdict.named {
        Some(Named::Prepare { name, verdict }) => {
            let _ = write!(line, " as {name}: ({})", self::line(verdict));
        }
        Some(named) => {
            let _ = write!(line, " {named:?}");
        }
        None => {}
    }
    if verdict.ordered {
        line.push_str(" ordered");
    }
    line
}

/// The statements of a file: one to a line, comments kept.
fn listing(file: &str, judge: impl Fn(&str) -> Analysis) -> String {
    let mut out = String::new();
    for sql in file.lines().filter(|line| !line.is_empty()) {
        if sql.starts_with("--") {
            let _ = writeln!(out, "\n{sql}");
            continue;
        }
        let analysis = judge(sql);
        let _ = writeln!(out, "{sql}\n    {}", line(&analysis.whole));
        if analysis.statements.len() > 1 {
            for one in &analysis.statements {
                let text = sql.get(one.range.clone()).unwrap_or("outside of the text");
                let _ = writeln!(out, "      {text:?} {}", line(&one.verdict));
            }
        }
    }
    out
}
