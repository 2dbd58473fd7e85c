//! Which functions leave nothing behind: nothing in the session, and nothing that keeps a
//! transaction from being prepared.
//!
//! A body is not understood here, its words are looked at: a body that has none of the words that
//! such effects need, and names nothing that has them, cannot have them. Words in comments and
//! strings count as well, and dynamic SQL is one of the words. Whatever is in doubt is not quiet.

use std::collections::HashSet;

use super::model::{Catalog, Function, RelationKind};

/// Words without which a body leaves nothing behind.
const LOUD: &[&str] = &[
    "authorization",
    "call",
    "deallocate",
    "discard",
    "execute",
    "hold",
    "listen",
    "load",
    "lo_import",
    "notify",
    "pg_export_snapshot",
    "pg_notify",
    "pg_temp",
    "prepare",
    "reset",
    "role",
    "session",
    "session_user",
    "set_config",
    "setseed",
    "temp",
    "temporary",
    "unlisten",
];

/// A SET after one of these, or at the beginning, is a statement and not the SET of an UPDATE.
const BEFORE_STATEMENT: &[&str] = &["", ";", "begin", "then", "else", "loop", "atomic"];

/// Stands for a SET that is a statement.
const SET_STATEMENT: &str = "set;";

/// The words of a body, folded, each once, comments in and out.
pub(super) fn words(body: &str) -> Vec<Box<str>> {
    let mut all = HashSet::new();
    collect(body, &mut all);
    collect(&without_comments(body), &mut all);
    let mut words: Vec<_> = all.into_iter().collect();
    words.sort_unstable();
    words
}

fn collect(body: &str, words: &mut HashSet<Box<str>>) {
    let folded = body.to_lowercase();
    let mut before = String::new();
    let mut rest = folded.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            let statement = BEFORE_STATEMENT.contains(&before.as_str());
            if word == "set" && statement {
                words.insert(SET_STATEMENT.into());
            }
            if word == "do" && statement {
                words.insert("execute".into());
            }
            words.insert(word.into());
            word.clone_into(&mut before);
            rest = tail;
        } else {
            if !first.is_whitespace() {
                before.clear();
                before.push(first);
            }
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// Without what looks like a comment; it may be part of a string, which is why both are looked
/// at.
fn without_comments(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find(['-', '/']) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        rest = if tail.starts_with("--") {
            tail.find('\n').map_or("", |end| &tail[end..])
        } else if tail.starts_with("/*") {
            tail.find("*/").map_or("", |end| &tail[end + 2..])
        } else {
            out.push_str(&tail[..1]);
            &tail[1..]
        };
    }
    out.push_str(rest);
    out
}

impl Catalog {
    /// Judges functions and triggers, and whatever uses what is not quiet, until nothing changes.
    pub(super) fn judge_bodies(&mut self) {
        let mut loud: HashSet<String> = HashSet::new();
        for (name, functions) in &self.functions {
            if functions.iter().any(is_loud) {
                loud.insert(name.to_lowercase());
            }
        }
        // A foreign table's transaction cannot be prepared.
        let foreign = self.relations.iter().filter(|one| one.kind == RelationKind::Foreign);
        loud.extend(foreign.map(|one| one.name.to_lowercase()));
        loop {
            let before = loud.len();
            for (name, functions) in &self.functions {
                let uses = |word: &str| loud.contains(word);
                if functions.iter().any(|one| one.words.iter().any(|word| uses(word))) {
                    loud.insert(name.to_lowercase());
                }
            }
            for one in &self.relations {
                let fires =
                    one.fires.iter().any(|name| !self.is_known(name) || has(&loud, &name.name));
                let view = one.view.as_ref().is_some_and(|view| {
                    let mut named = view.functions.iter().chain(&view.reads);
                    view.marks.unknown || named.any(|name| has(&loud, &name.name))
                });
                if fires || view || one.rules {
                    loud.insert(one.name.to_lowercase());
                }
            }
            if loud.len() == before {
                break;
            }
        }
        // A name that is no word would not be found in a body.
        let odd =
            |name: &String| !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
        let none = loud.iter().any(odd);
        for (name, functions) in &mut self.functions {
            let quiet = !none && !has(&loud, name);
            for one in functions {
                one.quiet = quiet;
                one.words = Vec::new();
            }
        }
        for one in &mut self.relations {
            one.quiet = !none && !has(&loud, &one.name);
        }
    }

    fn is_known(&self, function: &crate::analysis::name::Name) -> bool {
        self.functions_named(function).next().is_some()
    }
}

fn has(loud: &HashSet<String>, name: &str) -> bool {
    loud.contains(&name.to_lowercase())
}

/// By its own words.
fn is_loud(function: &Function) -> bool {
    function.closed
        || function.opaque
        || function.words.iter().any(|word| {
            LOUD.contains(&&**word)
                || &**word == SET_STATEMENT
                || word.contains("advisory")
                || word.contains("dblink")
                || word.contains("origin_session")
                || word.starts_with("pg_temp")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loud(body: &str) -> bool {
        let words = words(body);
        is_loud(&Function {
            schema: "s".into(),
            volatility: crate::analysis::Volatility::Volatile,
            opaque: false,
            hidden: false,
            body: None,
            quiet: false,
            closed: false,
            words,
            native: false,
            dotted: false,
        })
    }

    #[test]
    fn words_tell_what_a_body_may_leave() {
        for quiet in [
            "BEGIN NEW.at := now(); RETURN NEW; END",
            "UPDATE t SET a = 1 WHERE b = 2",
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
            "UPDATE \"T\" -- why\n SET a = 1",
            "BEGIN IF a THEN UPDATE t x SET a = 1; END IF; END",
        ] {
            assert!(!loud(quiet), "{quiet}");
        }
        for noisy in [
            "SET work_mem = '1MB'",
            "BEGIN SET LOCAL a.b = 1; END",
            "SELECT 1; -- then\n SET a.b = 1",
            "BEGIN /* x */ SET a.b = 1; END",
            "IF a THEN SET a.b = 1; END IF",
            "EXECUTE 'x' || y",
            "PERFORM pg_advisory_lock(1)",
            "CREATE TEMP TABLE x (a int)",
            "SELECT '--', set_config('a', 'b', false)",
            "DO $x$ BEGIN END $x$",
            "PERFORM PG_NOTIFY('a', 'b')",
            "INSERT INTO pg_temp_3.x VALUES (1)",
        ] {
            assert!(loud(noisy), "{noisy}");
        }
    }
}
