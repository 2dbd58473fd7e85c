//! The page at the end: what was measured, what was checked, one verdict.

use std::fmt::Write as _;
use std::time::Duration;

use super::say::ms;

/// A move of the authority, as clients and as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    /// `cutover`, `rollback`, `second cutover`.
    pub(super) name: &'static str,
    /// From the operator's command to the measured new authority.
    pub(super) took: Duration,
    /// The longest an acknowledged write took meanwhile.
    pub(super) write_max: Duration,
    /// The longest time without any acknowledged write.
    pub(super) gap: Duration,
    /// What the server reports, in milliseconds.
    pub(super) reported_ms: Option<u64>,
    /// Attempts until it held.
    pub(super) attempts: u64,
}

/// Everything the demo found out.
#[derive(Debug, Default)]
pub(super) struct Page {
    moves: Vec<Moved>,
    facts: Vec<(String, String)>,
    checks: Vec<(String, bool, String)>,
}

impl Page {
    pub(super) fn moved(&mut self, moved: Moved) {
        self.moves.push(moved);
    }

    /// Something worth knowing that is neither right nor wrong.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push((name.to_owned(), value.into()));
    }

    /// Something that has to hold.
    pub(super) fn check(&mut self, name: &str, holds: bool, evidence: impl Into<String>) {
        self.checks.push((name.to_owned(), holds, evidence.into()));
    }

    /// Whether everything that was checked holds, and anything was.
    pub(super) fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(_, holds, _)| *holds)
    }

    /// The page.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        let rule = "─".repeat(78);
        let verdict = if self.holds() { "ALL HOLDS" } else { "BROKEN" };
        let _ = writeln!(out, "\n{rule}\nexodus demo: {verdict}\n{rule}");
        let _ = writeln!(
            out,
            "{:<16}{:>12}{:>16}{:>16}{:>12}{:>6}",
            "authority moved", "took", "slowest write", "no write for", "reported", "tries"
        );
        for m in &self.moves {
            let reported = m.reported_ms.map_or_else(|| "-".to_owned(), |v| format!("{v} ms"));
            let _ = writeln!(
                out,
                "{:<16}{:>12}{:>16}{:>16}{:>12}{:>6}",
                m.name,
                ms(m.took),
                ms(m.write_max),
                ms(m.gap),
                reported,
                m.attempts
            );
        }
        let _ = writeln!(out);
        for (name, value) in &self.facts {
            let _ = writeln!(out, "{name:<28}{value}");
        }
        let _ = writeln!(out);
        for (name, holds, evidence) in &self.checks {
            let mark = if *holds { "holds " } else { "BROKEN" };
            let mut lines = evidence.lines();
            let first = lines.next().unwrap_or_default();
            let _ =
                writeln!(out, "{mark}  {name}{}{first}", if first.is_empty() { "" } else { ": " });
            for line in lines {
                let _ = writeln!(out, "        {line}");
            }
        }
        let _ = writeln!(out, "{rule}");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_checks_or_with_a_broken_one_does_not_hold() {
        let mut page = Page::default();
        assert!(!page.holds());
        page.check("equal", true, "");
        assert!(page.holds() && page.render().contains("ALL HOLDS"));
        page.check("ledger", false, "lost\none");
        assert!(!page.holds());
        assert!(page.render().contains("BROKEN  ledger: lost\n        one"));
    }
}
