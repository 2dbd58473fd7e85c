//! Migrations, their databases and their listeners.

use std::io;

use api::{Endpoint, Interlay, MigrationDetail, MigrationSummary};

use super::{facts, plain};
use crate::output::Format;
use crate::table::Table;
use crate::term::Io;
use crate::text::{bytes, count};
use crate::view::status::ago;

pub(crate) fn migrations(
    io: &mut Io<'_>,
    format: Format,
    all: &[MigrationSummary],
) -> io::Result<()> {
    let mut table = Table::new(
        &["migration", "phase", "step", "state", "writes", "undo", "diverged", "waiting for"],
        "no migration yet",
    );
    for m in all {
        table.row([
            m.id.clone(),
            m.phase.map_or("–", api::Phase::as_str).to_owned(),
            m.step.clone(),
            m.state.clone(),
            m.authority.as_str().to_owned(),
            if m.undo_ready { "ready" } else { "NOT READY" }.to_owned(),
            count(m.divergence_open),
            m.waiting_on.as_ref().map_or_else(String::new, |w| w.what.clone()),
        ]);
    }
    table.write(io, format)
}

pub(crate) fn migration(io: &mut Io<'_>, format: Format, m: &MigrationDetail) -> io::Result<()> {
    if format == Format::Plain {
        return plain(io, m);
    }
    let s = &m.summary;
    let owners: Vec<_> = m.owners.iter().map(|(role, who)| format!("{role}: {who}")).collect();
    facts(
        io,
        &[
            ("migration", s.id.clone()),
            ("family", s.family.clone()),
            ("strategy", s.strategy.clone()),
            ("environment", s.environment.clone()),
            ("phase", format!("{} / {}", s.phase.map_or("–", api::Phase::as_str), s.step)),
            ("state", s.state.clone()),
            ("writes", format!("{} decides, epoch {}", s.authority.as_str(), s.epoch)),
            ("config", m.config_digest.clone()),
            ("owners", owners.join(", ")),
        ],
    )?;
    endpoints(io, format, &m.endpoints)?;
    interlays(io, format, &m.interlays)?;
    let mut table = Table::new(&["run", "began", "phase", "step", "outcome"], "no run yet");
    let now = (io.now)();
    for run in &m.runs {
        table.row([
            run.id.clone(),
            ago(&run.started, now),
            run.phase.map_or("–", api::Phase::as_str).to_owned(),
            run.step.clone(),
            run.outcome.clone(),
        ]);
    }
    table.write(io, format)
}

pub(crate) fn endpoints(io: &mut Io<'_>, format: Format, all: &[Endpoint]) -> io::Result<()> {
    let mut table = Table::new(
        &["side", "address", "answers", "product", "tls", "memory", "cannot", "last error"],
        "no endpoint",
    );
    for e in all {
        let cannot: Vec<_> =
            e.capabilities.iter().filter(|(_, works)| !**works).map(|(n, _)| n.as_str()).collect();
        table.row([
            e.side.as_str().to_owned(),
            e.address.clone(),
            if e.reachable { "yes" } else { "NO" }.to_owned(),
            e.product.clone().unwrap_or_else(|| "not probed".to_owned()),
            e.tls.clone(),
            memory(e),
            cannot.join(", "),
            e.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.write(io, format)
}

fn memory(e: &Endpoint) -> String {
    match (e.memory_used, e.memory_max) {
        (Some(used), Some(max)) if max > 0 => format!("{} of {}", bytes(used), bytes(max)),
        (Some(used), _) => bytes(used),
        (None, _) => String::new(),
    }
}

pub(crate) fn interlays(io: &mut Io<'_>, format: Format, all: &[Interlay]) -> io::Result<()> {
    let mut table = Table::new(
        &["interlay", "listens on", "state", "writes go to", "epoch", "clients", "requests"],
        "no interlay",
    );
    for i in all {
        let state = match (i.listening, i.draining) {
            (_, true) => "draining",
            (true, _) => "open",
            (false, _) => "NOT LISTENING",
        };
        table.row([
            i.name.clone(),
            i.listen.clone(),
            state.to_owned(),
            i.authority.as_str().to_owned(),
            i.epoch.to_string(),
            count(i.connections),
            count(i.requests),
        ]);
    }
    table.write(io, format)
}
