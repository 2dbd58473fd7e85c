//! What a group of extended messages does, from the statements in it.

use family::{Expect, Next};
use model::Access;
use wire_postgres::query::{Bind, Execute, ParseMessage, Target};
use wire_postgres::tags::frontend as tag;

use super::super::local;
use super::super::statement::{Does, class};
use super::PostgresSession;

/// Bytes of a request that are looked at for its shape.
const SHAPE_BYTES: usize = 2048;

impl PostgresSession {
    /// A request of extended messages.
    pub(super) fn extended(&mut self, raw: &[u8], len: usize, expect: Expect) -> Next {
        self.facing.prepares.clear();
        self.facing.closes.clear();
        let mut group = Group::default();
        for (type_byte, body, _) in local::messages(raw) {
            group.message(self, type_byte, body);
        }
        let does = group.does.unwrap_or(Does {
            class: class(if self.facing.prepares.is_empty() { "sync" } else { "parse" }),
            access: Access::Session,
            follower: false,
            state: false,
        });
        self.request(does, len, false, !group.leans, expect)
    }
}

/// What has been seen of a group.
#[derive(Default)]
struct Group {
    /// Of everything it executes.
    does: Option<Does>,
    /// The unnamed statement and the unnamed portal, as far as they are made here.
    statement: Option<Does>,
    portal: Option<Does>,
    /// It needs or leaves something outside of itself.
    leans: bool,
}

impl Group {
    fn message(&mut self, session: &mut PostgresSession, type_byte: u8, body: &[u8]) {
        match type_byte {
            tag::PARSE => match ParseMessage::parse(body) {
                Ok(parse) if parse.statement.is_empty() => {
                    self.statement = Some(session.judge(parse.query));
                }
                Ok(parse) => {
                    self.leans = true;
                    let does = session.judge(parse.query);
                    session.facing.prepares.push((parse.statement.into(), does));
                }
                Err(_) => self.statement = Some(Does::UNKNOWN),
            },
            tag::BIND => {
                let bind = Bind::parse(body).ok();
                let does = bind.as_ref().map(|bind| self.bound(session, bind.statement));
                if bind.is_some_and(|bind| bind.portal.is_empty()) {
                    self.portal = does;
                } else {
                    self.leans = true;
                }
            }
            tag::EXECUTE => {
                let execute = Execute::parse(body).ok();
                let unnamed = execute.filter(|e| e.portal.is_empty());
                // A portal that is read in parts stays open.
                self.leans |= unnamed.is_none_or(|e| e.rows_max > 0);
                let does = unnamed.and(self.portal).unwrap_or(Does::UNKNOWN);
                self.does = Some(self.does.map_or(does, |all| all.and(does)));
            }
            tag::CLOSE => {
                self.leans = true;
                if let Ok(Target::Statement(name)) = Target::parse(body) {
                    session.facing.closes.push(name.into());
                }
            }
            tag::DESCRIBE => {
                let own = match Target::parse(body) {
                    Ok(Target::Statement(b"")) => self.statement.is_some(),
                    Ok(Target::Portal(b"")) => self.portal.is_some(),
                    _ => false,
                };
                self.leans |= !own;
            }
            _ => {}
        }
    }

    /// What a statement does that is being bound.
    fn bound(&mut self, session: &PostgresSession, name: &[u8]) -> Does {
        if name.is_empty() {
            self.leans |= self.statement.is_none();
            return self.statement.unwrap_or(Does::UNKNOWN);
        }
        self.leans = true;
        // When the Parse before it fails, nothing behind it is executed.
        let here = session.facing.prepares.iter().rev().find(|(n, _)| **n == *name);
        here.map_or_else(|| session.statements.get(name), |(_, does)| *does)
    }
}

/// The shape of a request: its kind and its text without numbers and quoted values.
pub(super) fn fingerprint(class: u16, raw: &[u8]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&class.to_le_bytes());
    let raw = &raw[..raw.len().min(SHAPE_BYTES)];
    for (type_byte, body, _) in local::messages(raw) {
        match type_byte {
            tag::QUERY => shape(&mut hasher, body),
            tag::PARSE => {
                if let Ok(parse) = ParseMessage::parse(body) {
                    shape(&mut hasher, parse.query);
                }
            }
            tag::BIND => {
                if let Ok(bind) = Bind::parse(body) {
                    shape(&mut hasher, bind.statement);
                }
            }
            _ => hasher.update(&[type_byte]),
        }
    }
    hasher.digest()
}

fn shape(hasher: &mut xxhash_rust::xxh3::Xxh3, text: &[u8]) {
    let (mut quoted, mut number) = (false, false);
    for &byte in text {
        if byte == b'\'' {
            quoted = !quoted;
            hasher.update(b"'");
            continue;
        }
        let digit = byte.is_ascii_digit();
        if quoted || digit && number {
            continue;
        }
        hasher.update(&[if digit { b'#' } else { byte.to_ascii_lowercase() }]);
        number = digit;
    }
}
