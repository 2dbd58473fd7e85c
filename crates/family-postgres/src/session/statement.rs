//! What statements do, as far as the hot path has to know before it sends them.
//!
//! Constraints: whatever is not proved is a write that may leave state behind. A mistake is
//! harmless on the secondary, where everything runs read only.

use std::collections::{HashMap, VecDeque};

use model::Access;

use crate::analysis::{Access as Judged, Analyzer, Backslash};

/// Prepared statements remembered per client; further ones count as writes.
const NAMES_MAX: usize = 4096;
/// Names longer than this are not remembered.
const NAME_BYTES_MAX: usize = 256;

/// Names of the kinds of requests, as operators see them.
pub(super) const CLASSES: &[&str] = &[
    "other",
    "login",
    "cancel",
    "local",
    "sync",
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "copy",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "set",
    "show",
    "prepare",
    "execute",
    "declare",
    "fetch",
    "listen",
    "notify",
    "lock",
    "create",
    "alter",
    "drop",
    "truncate",
    "vacuum",
    "call",
    "function",
    "several",
    "parse",
];

/// The class that is worth looking into; a test holds its place.
const SELECT: u16 = 5;

/// The number of a class.
pub(super) fn class(name: &str) -> u16 {
    let at = CLASSES.iter().position(|c| *c == name).unwrap_or(0);
    u16::try_from(at).unwrap_or(0)
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Does {
    /// Its kind: an index into [`CLASSES`].
    pub(super) class: u16,
    pub(super) access: Access,
    /// A read that the secondary may answer.
    pub(super) follower: bool,
    /// May leave something behind in the session.
    pub(super) state: bool,
}

impl Does {
    /// Nothing is known about it.
    pub(super) const UNKNOWN: Self =
        Self { class: 0, access: Access::Write, follower: false, state: true };

    /// One after the other.
    pub(super) fn and(self, other: Self) -> Self {
        let both_read = self.access == Access::Read && other.access == Access::Read;
        Self {
            class: if self.class == other.class { self.class } else { class("several") },
            access: if both_read { Access::Read } else { Access::Write },
            follower: self.follower && other.follower,
            state: self.state || other.state,
        }
    }
}

/// Longest text that is looked into; longer ones carry their values with them.
const JUDGED_MAX: usize = 16 * 1024;

/// What a text does, looked into where that may make a difference. `standard`: a backslash is no
/// escape in it.
pub(super) fn judge(text: &[u8], analyzer: Option<&Analyzer>, standard: bool) -> Does {
    let does = classify(text);
    let Some(analyzer) = analyzer.filter(|_| does.class == SELECT && text.len() <= JUDGED_MAX)
    else {
        return does;
    };
    if analyzer.catalog().is_none() {
        return does;
    }
    let backslash = if standard { Backslash::Literal } else { Backslash::Escapes };
    let analysis = analyzer.analyze_with(text, backslash);
    let whole = &analysis.whole;
    let read = whole.access == Judged::Read;
    Does {
        access: if read { Access::Read } else { Access::Write },
        follower: read && whole.follower.is_ok(),
        state: !whole.leaves.is_empty(),
        ..does
    }
}

/// What the first word of a text of one or several statements says.
pub(super) fn classify(text: &[u8]) -> Does {
    let Some((word, rest)) = first_word(text) else {
        return Does { class: 0, access: Access::Read, follower: false, state: false };
    };
    let single = !has_more(rest);
    let mut name = [0u8; 12];
    let Some(name) = name.get_mut(..word.len()) else { return Does::UNKNOWN };
    name.copy_from_slice(word);
    name.make_ascii_lowercase();
    let write = |name: &str, state: bool| Does {
        class: class(name),
        access: Access::Write,
        follower: false,
        state: state || !single,
    };
    match &*name {
        b"insert" | b"update" | b"delete" | b"merge" => {
            write(std::str::from_utf8(name).unwrap_or(""), false)
        }
        b"begin" | b"start" => write("begin", false),
        b"commit" | b"end" => write("commit", false),
        b"rollback" | b"abort" => write("rollback", false),
        b"savepoint" | b"release" => write("savepoint", false),
        b"copy" => write("copy", false),
        b"truncate" | b"vacuum" | b"lock" | b"notify" => {
            write(std::str::from_utf8(name).unwrap_or(""), false)
        }
        b"show" if single => {
            Does { class: class("show"), access: Access::Read, follower: false, state: false }
        }
        b"select" | b"with" | b"values" | b"table" => write("select", true),
        b"set" | b"reset" | b"discard" => write("set", true),
        b"create" | b"alter" | b"drop" | b"prepare" | b"execute" | b"declare" | b"fetch"
        | b"listen" | b"call" => write(std::str::from_utf8(name).unwrap_or(""), true),
        _ => Does::UNKNOWN,
    }
}

/// The first word of a text and what follows it. `None` when there is no statement.
pub(super) fn first_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = skip_blank(text);
    let end = rest.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len());
    if rest.is_empty() { None } else { Some(rest.split_at(end)) }
}

/// Words of a simple statement in lower case, up to `max`; `None` when it is not that simple.
pub(super) fn words(text: &[u8], max: usize) -> Option<Vec<String>> {
    let text = std::str::from_utf8(skip_blank(text)).ok()?;
    let text = text.trim_end().trim_end_matches(';').trim_end();
    if text.len() > 128 || text.contains([';', '\'', '"', '-', '/', '$']) {
        return None;
    }
    let words: Vec<String> =
        text.split_ascii_whitespace().take(max + 1).map(str::to_ascii_lowercase).collect();
    (words.len() <= max).then_some(words)
}

/// Skips white space, comments and empty statements.
fn skip_blank(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        match text {
            [b'-', b'-', rest @ ..] => {
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                text = &rest[end..];
            }
            [b'/', b'*', rest @ ..] => {
                let mut depth = 1;
                let mut at = 0;
                while depth > 0 && at < rest.len() {
                    match rest[at..] {
                        [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
                        [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
                        _ => at += 1,
                    }
                }
                text = &rest[at..];
            }
            [b';', rest @ ..] => text = rest,
            _ => return text,
        }
    }
}

/// Whether another statement may follow: a semicolon that is not at the end.
fn has_more(text: &[u8]) -> bool {
    memchr::memchr(b';', text.trim_ascii_end().trim_suffix_semicolons()).is_some()
}

trait TrimSemicolons {
    fn trim_suffix_semicolons(&self) -> &[u8];
}

impl TrimSemicolons for [u8] {
    fn trim_suffix_semicolons(&self) -> &[u8] {
        let mut text = self;
        while let [front @ .., b';' | b' ' | b'\n' | b'\t' | b'\r'] = text {
            text = front;
        }
        text
    }
}

/// Names of settings of applications' own (with a dot) that a text seems to set. Servers do not
/// list those.
pub(super) fn custom_settings(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let mut names = Vec::new();
    let mut tokens = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')))
        .filter(|t| !t.is_empty())
        .peekable();
    while let Some(token) = tokens.next() {
        // set_config('a.b', …), SET a.b, SET SESSION a.b
        let named = match token {
            "set_config" => tokens.peek(),
            "set" => {
                if tokens.peek().is_some_and(|t| matches!(*t, "session" | "local")) {
                    tokens.next();
                }
                tokens.peek()
            }
            _ => None,
        };
        let proper = |name: &&str| {
            name.contains('.') && !name.starts_with('.') && !name.ends_with('.') && name.len() < 128
        };
        names.extend(named.copied().filter(proper).map(str::to_owned));
    }
    names
}

/// A named statement and what it does.
pub(super) type Prepared = (Box<[u8]>, Does);

/// What the client's named statements do. A statement is known as a read only once the server
/// has accepted it.
#[derive(Default)]
pub(super) struct Statements {
    named: HashMap<Box<[u8]>, Does>,
    /// What requests in flight will have prepared, oldest first, by the number of the request.
    pending: VecDeque<(u64, Vec<Prepared>)>,
}

impl Statements {
    pub(super) fn get(&self, name: &[u8]) -> Does {
        self.named.get(name).copied().unwrap_or(Does::UNKNOWN)
    }

    /// A request on its way prepares these.
    pub(super) fn sent(&mut self, request: u64, prepares: Vec<Prepared>) {
        if prepares.is_empty() {
            return;
        }
        for (name, _) in &prepares {
            // Until it is accepted nobody knows which of the two it will be.
            self.named.remove(name);
        }
        self.pending.push_back((request, prepares));
    }

    /// A request was answered.
    pub(super) fn answered(&mut self, request: u64, failed: bool) {
        while self.pending.front().is_some_and(|(number, _)| *number <= request) {
            let Some((number, prepared)) = self.pending.pop_front() else { return };
            if failed || number < request {
                continue;
            }
            for (name, does) in prepared {
                if self.named.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX {
                    self.named.insert(name, does);
                }
            }
        }
    }

    pub(super) fn forget(&mut self, name: &[u8]) {
        self.named.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_proved_writes() {
        assert_eq!(SELECT, class("select"));
        let check = |text: &str, name: &str, access| {
            let does = classify(text.as_bytes());
            assert_eq!((CLASSES[usize::from(does.class)], does.access), (name, access), "{text}");
        };
        check("select 1", "select", Access::Write);
        check(" -- x\n /* a /* b */ */ ;INSERT into t", "insert", Access::Write);
        check("show all", "show", Access::Read);
        check("show all; drop table t", "other", Access::Write);
        check("", "other", Access::Read);
        check("/* open", "other", Access::Read);
        check("frobnicate", "other", Access::Write);
        check("averyveryverylongword", "other", Access::Write);
        assert!(classify(b"insert into t values (1); set a = 1").state);
        assert!(!classify(b"insert into t values (1);\n").state);
    }

    #[test]
    fn a_statement_is_known_when_it_was_accepted() {
        let read = Does { access: Access::Read, ..Does::UNKNOWN };
        let mut all = Statements::default();
        all.sent(1, vec![(b"a"[..].into(), read)]);
        assert_eq!(all.get(b"a"), Does::UNKNOWN);
        all.answered(1, false);
        assert_eq!(all.get(b"a"), read);
        all.sent(2, vec![(b"a"[..].into(), read)]);
        all.answered(2, true);
        assert_eq!(all.get(b"a"), Does::UNKNOWN);
    }

    #[test]
    fn settings_of_applications() {
        let check = |text: &str, expect: &[&str]| {
            assert_eq!(custom_settings(text.as_bytes()), expect, "{text}");
        };
        check("SET app.tenant = 'x'", &["app.tenant"]);
        check("set session app.a to 1; select set_config('b.c', 'd', false)", &["app.a", "b.c"]);
        check("set search_path = a.b", &[]);
    }

    #[test]
    fn simple_words() {
        let check = |text: &str, expect: Option<&str>| {
            let got = words(text.as_bytes(), 3).map(|w| w.join(" "));
            assert_eq!(got.as_deref(), expect, "{text}");
        };
        check(" SHOW  exodus.authority ;", Some("show exodus.authority"));
        check("show a; show b", None);
        check("a b c d", None);
    }
}
