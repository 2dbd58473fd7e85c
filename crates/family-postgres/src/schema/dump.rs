//! `pg_dump` and `pg_restore`: found, and run as children that end with us.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use family::{PortError, TlsMode, Trouble};
use tokio::process::Command;

use crate::conn::Link;
use crate::error::code;
use crate::follow::names::SCHEMA;

/// Where Debian's packages put the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Longest wait for somebody who changes a table.
const LOCK_WAIT: &str = "--lock-wait-timeout=30s";

/// The programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programs {
    dump: PathBuf,
    restore: PathBuf,
    major: u32,
}

impl Programs {
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.dump.display(), self.major)
    }
}

/// The oldest programs that are new enough to read a server of this major version.
pub(crate) async fn find(major: u32) -> Result<Programs, PortError> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
    if let Ok(entries) = std::fs::read_dir(VERSIONS) {
        places.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    let mut best: Option<Programs> = None;
    let mut seen = Vec::new();
    for place in places {
        let (dump, restore) = (place.join("pg_dump"), place.join("pg_restore"));
        if !dump.is_file() || !restore.is_file() {
            continue;
        }
        let Some(found) = major_of(&dump).await else { continue };
        seen.push(found.to_string());
        if found >= major && best.as_ref().is_none_or(|b| found < b.major) {
            best = Some(Programs { dump, restore, major: found });
        }
    }
    best.ok_or_else(|| {
        let have = if seen.is_empty() { "none".into() } else { seen.join(", ") };
        let why = format!(
            "pg_dump of PostgreSQL {major} or newer is needed on PATH or in {VERSIONS}/*/bin; \
             found: {have}; apt-get install postgresql-client-{major}"
        );
        PortError::new(Trouble::Unsupported, code::NO_DUMP, why)
    })
}

async fn major_of(program: &Path) -> Option<u32> {
    let said = Command::new(program).arg("--version").kill_on_drop(true).output().await.ok()?;
    major_in(&String::from_utf8_lossy(&said.stdout))
}

/// The version in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_in(said: &str) -> Option<u32> {
    let version = said.split("(PostgreSQL) ").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The schema of a database as an archive in a file that vanishes with this value.
pub(super) struct Archive {
    programs: Programs,
    dir: tempfile::TempDir,
}

/// An entry of an archive's table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its line, as `pg_restore` wants it back.
    line: String,
    /// What it is, as in `CONSTRAINT`; several words for some.
    what: String,
}

impl Archive {
    /// Dumps the schema of a database, ours and subscriptions left out.
    pub(super) async fn make(link: &Link, major: u32) -> Result<Self, PortError> {
        let programs = find(major).await?;
        let dir = tempfile::tempdir().map_err(|e| failed(&format!("temporary directory: {e}")))?;
        let mut dump = Command::new(&programs.dump);
        dump.args(["--format=custom", "--compress=0", "--schema-only", "--no-subscriptions"])
            .args(["--no-tablespaces", "--no-password", LOCK_WAIT])
            .arg(format!("--exclude-schema={SCHEMA}"))
            .arg("--file")
            .arg(dir.path().join("schema"));
        connect(&mut dump, link);
        run(dump, "pg_dump").await?;
        Ok(Self { programs, dir })
    }

    /// The entries of one section.
    pub(super) async fn entries(&self, section: &str) -> Result<Vec<Entry>, PortError> {
        let mut list = Command::new(&self.programs.restore);
        list.arg("--list").arg(format!("--section={section}")).arg(self.dir.path().join("schema"));
        let text = run(list, "pg_restore").await?;
        Ok(text.lines().filter_map(entry).collect())
    }

    /// The statements of some entries, in the archive's order.
    pub(super) async fn sql(&self, entries: &[&Entry]) -> Result<String, PortError> {
        let list: String = entries.iter().map(|entry| format!("{}\n", entry.line)).collect();
        let mut restore = Command::new(&self.programs.restore);
        let path = self.dir.path().join("list");
        std::fs::write(&path, list).map_err(|e| failed(&format!("list: {e}")))?;
        restore.args(["--file=-", "--use-list"]).arg(path).arg(self.dir.path().join("schema"));
        Ok(plain(&run(restore, "pg_restore").await?))
    }
}

impl Entry {
    /// Whether it is of this kind, as in `FK CONSTRAINT`.
    pub(super) fn is(&self, what: &str) -> bool {
        self.what.strip_prefix(what).is_some_and(|rest| rest.starts_with(' '))
    }

    /// Whether one of its names begins so.
    pub(super) fn starts_any(&self, prefix: &str) -> bool {
        self.what.split(' ').any(|word| word.starts_with(prefix))
    }

    /// Whether a name stands in it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.what.split(' ').any(|word| word == name)
    }
}

/// A line of `pg_restore --list`: `215; 1259 16386 TABLE public t owner`.
fn entry(line: &str) -> Option<Entry> {
    let (number, rest) = line.split_once("; ")?;
    number.parse::<u32>().ok()?;
    let mut words = rest.splitn(3, ' ');
    words.next()?.parse::<u64>().ok()?;
    words.next()?.parse::<u64>().ok()?;
    Some(Entry { line: line.to_owned(), what: words.next()?.to_owned() })
}

/// Statements without what only psql understands: the lines that newer programs put around them.
fn plain(text: &str) -> String {
    let fence = |line: &str, word: &str| line.strip_prefix(word).map(str::to_owned);
    let key = text.lines().find_map(|line| fence(line, "\\restrict "));
    let ours = |line: &&str| {
        let said = fence(line, "\\restrict ").or_else(|| fence(line, "\\unrestrict "));
        said.is_none() || said != key
    };
    text.split('\n').filter(ours).collect::<Vec<_>>().join("\n")
}

fn connect(command: &mut Command, link: &Link) {
    let port = link.address().rsplit(':').next().unwrap_or_default();
    let (mode, ca) = match link.tls_mode() {
        TlsMode::Disable => ("disable", None),
        TlsMode::Require => ("require", None),
        TlsMode::VerifyCa(ca) => ("verify-ca", ca.as_deref()),
        TlsMode::VerifyFull(ca) => ("verify-full", ca.as_deref()),
    };
    // Nothing of our own environment may say where to connect.
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command
        .env("PGHOST", link.host())
        .env("PGPORT", port)
        .env("PGUSER", link.user())
        .env("PGDATABASE", link.database())
        .env("PGSSLMODE", mode)
        .env("PGAPPNAME", format!("{}:dump", link.tag()))
        .env("PGOPTIONS", "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0");
    if mode.starts_with("verify") {
        // A word libpq knows since 16; older ones look for a file of that name and say so.
        command.env("PGSSLROOTCERT", ca.unwrap_or(Path::new("system")));
    }
    if let Some(password) = link.password() {
        command.env("PGPASSWORD", password);
    }
}

/// Runs a program to its end; what it printed.
async fn run(mut command: Command, name: &str) -> Result<String, PortError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.map_err(|e| failed(&format!("{name}: {e}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.lines().find(|l| l.contains("error")).unwrap_or("ended without a word");
    Err(failed(&format!("{name}: {said}")))
}

fn failed(why: &str) -> PortError {
    PortError::new(Trouble::Unreachable, code::DUMP, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let check = |said, expect| assert_eq!(major_in(said), expect, "{said}");
        check("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15));
        check("pg_dump (PostgreSQL) 19devel", Some(19));
        check("something else", None);
    }

    #[test]
    fn entries_are_read() {
        let found = entry("3275; 2606 16391 FK CONSTRAINT public child child_fk owner").unwrap();
        assert!(found.is("FK CONSTRAINT") && !found.is("CONSTRAINT") && found.names("child_fk"));
        for other in ["; Archive created at", ";", "", "215; x", "3275; 2606"] {
            assert_eq!(entry(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_programs_own_lines_are_taken_out() {
        let text = "\\restrict abc\nSELECT '\n\\restrict def\n';\n\\unrestrict abc\n";
        assert_eq!(plain(text), "SELECT '\n\\restrict def\n';\n");
    }
}
