//! Tokens and the audit log.

use std::io;

use api::{AuditEntry, Token};

use crate::output::Format;
use crate::table::Table;
use crate::term::Io;
use crate::view::status::ago;

pub(crate) fn tokens(io: &mut Io<'_>, format: Format, all: &[Token]) -> io::Result<()> {
    let mut table =
        Table::new(&["id", "name", "roles", "only for", "created", "expires"], "no token");
    let now = (io.now)();
    for t in all {
        let roles: Vec<_> = t.roles.iter().map(|r| r.as_str()).collect();
        let only = if t.migrations.is_empty() { "all".to_owned() } else { t.migrations.join(", ") };
        table.row([
            t.id.clone(),
            t.name.clone(),
            roles.join(", "),
            only,
            ago(&t.created, now),
            t.expires.clone().unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    table.write(io, format)
}

pub(crate) fn audit(io: &mut Io<'_>, format: Format, all: &[AuditEntry]) -> io::Result<()> {
    let mut table = Table::new(&["id", "at", "who", "what", "migration", "reason"], "no entry");
    for e in all {
        table.row([
            e.id.to_string(),
            e.at.clone(),
            e.actor.clone(),
            e.action.clone(),
            e.migration.clone().unwrap_or_default(),
            e.reason.clone().unwrap_or_default(),
        ]);
    }
    table.write(io, format)
}
