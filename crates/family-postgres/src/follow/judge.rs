//! Which changes of a transaction are not on the other side yet. Pure: what it lacks is said.

use std::collections::{HashMap, HashSet};

use wire_postgres::MessageError;
use wire_postgres::logical::{OldRow, Tuple, Value};

use super::assemble::Transaction;
use super::change::{Change, Deed};
use super::desk::Book;
use super::order::KeyText;
use super::shelf::{Emptied, Seen, Shelf, Verdict};
use super::table::Table;

/// What is done with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing.
    Skip,
    /// All of it.
    Apply,
    /// Of a changed key: the row under the old key goes.
    DeleteOld,
    /// Of a changed key: the row under the new key comes.
    InsertNew,
    /// The row under this key is read again: not all of it was told.
    Refetch(KeyText),
    /// Tables are emptied, one answer each.
    Empty(Vec<Emptied>),
}

/// A table and a key in it.
pub(crate) type Row = (String, String, KeyText);

/// Where the server has placed keys, by the version of their shelf.
#[derive(Debug, Default)]
pub(crate) struct Places(pub(crate) HashMap<Row, (u64, Option<u64>)>);

/// What the judging of a transaction came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// One act for each change.
    Acts(Vec<Act>),
    /// A chunk is being copied that holds one of its rows.
    Wait,
    /// It may only be judged once it is visible at the followed side.
    Unseen,
    /// These keys have to be placed by the server.
    Ask(Vec<Row>),
    /// A table is not in the catalog as it was read.
    Unknown(String, String),
}

/// What is known besides the book.
pub(crate) struct Known<'a> {
    /// Whether the transaction is visible at the followed side.
    pub(crate) visible: bool,
    /// Keys that the server has placed.
    pub(crate) places: &'a Places,
    /// Tables that are gone: what is told of them is dropped.
    pub(crate) gone: &'a HashSet<(String, String)>,
    /// Rows that were copied again in the transaction that is open on the other side.
    pub(crate) fresh: &'a HashMap<Row, Seen>,
}

/// Judges all changes of a transaction, or of a part of it.
pub(crate) fn judge(
    book: &Book,
    tx: &Transaction,
    known: &Known<'_>,
) -> Result<Judged, MessageError> {
    if book.is_whole() && known.fresh.is_empty() {
        let act = |change: &Change| {
            Ok(match change.deed()? {
                Deed::Truncate(_) => Act::Empty(vec![Emptied::All; 1 + change.others.len()]),
                _ => Act::Apply,
            })
        };
        return tx.changes.iter().map(act).collect::<Result<_, _>>().map(Judged::Acts);
    }
    let mut bench = Bench { book, xid: tx.xid, known, lacks: Lacks::default() };
    let mut acts = Vec::with_capacity(tx.changes.len());
    let mut again: Vec<Row> = Vec::new();
    for change in &tx.changes {
        let act = bench.act(change, &again)?;
        if let Act::Refetch(key) = &act {
            again.push((change.relation.schema.clone(), change.relation.name.clone(), key.clone()));
        }
        acts.push(act);
    }
    let lacks = bench.lacks;
    Ok(match lacks {
        Lacks { unknown: Some((schema, name)), .. } => Judged::Unknown(schema, name),
        Lacks { ask, .. } if !ask.is_empty() => Judged::Ask(ask),
        Lacks { wait: true, .. } => Judged::Wait,
        Lacks { unseen: true, .. } => Judged::Unseen,
        _ => Judged::Acts(acts),
    })
}

#[derive(Default)]
struct Lacks {
    wait: bool,
    unseen: bool,
    unknown: Option<(String, String)>,
    ask: Vec<Row>,
}

struct Bench<'a> {
    book: &'a Book,
    xid: u32,
    known: &'a Known<'a>,
    lacks: Lacks,
}

impl Bench<'_> {
    fn act(&mut self, change: &Change, again: &[Row]) -> Result<Act, MessageError> {
        let relation = &change.relation;
        let deed = change.deed()?;
        if let Deed::Truncate(_) = deed {
            return Ok(self.emptied(change));
        }
        let Some((table, shelf)) = self.book.find(&relation.schema, &relation.name) else {
            self.unknown(&relation.schema, &relation.name);
            return Ok(Act::Skip);
        };
        let (old, new) = match deed {
            Deed::Insert(new) => (None, Some(new)),
            Deed::Update(old, new) => (old, Some(new)),
            Deed::Delete(old) => (Some(old), None),
            Deed::Truncate(_) => (None, None),
        };
        let before = old.map(|old| key_of(table, change, None, Some(old))).transpose()?;
        let after = new.map(|new| key_of(table, change, Some(new), old)).transpose()?;
        let mut verdict = |key: &KeyText| self.verdict(table, shelf, key, again);
        Ok(match (before, after) {
            (Some(before), Some(after)) if before != after => {
                match (verdict(&before), verdict(&after)) {
                    (true, true) => Act::Apply,
                    (true, false) => Act::DeleteOld,
                    (false, true) if new.is_some_and(is_partial) => Act::Refetch(after),
                    (false, true) => Act::InsertNew,
                    (false, false) => Act::Skip,
                }
            }
            (_, Some(key)) | (Some(key), None) if verdict(&key) => Act::Apply,
            _ => Act::Skip,
        })
    }

    fn unknown(&mut self, schema: &str, name: &str) {
        let table = (schema.to_owned(), name.to_owned());
        if !self.known.gone.contains(&table) {
            self.lacks.unknown = Some(table);
        }
    }

    /// Whether a change of this row is applied.
    fn verdict(&mut self, table: &Table, shelf: &Shelf, key: &KeyText, again: &[Row]) -> bool {
        let row = || (table.schema.clone(), table.name.clone(), key.clone());
        if !again.is_empty() && again.contains(&row()) {
            return false;
        }
        if self.book.begun {
            return true;
        }
        if !self.known.fresh.is_empty()
            && let Some(seen) = self.known.fresh.get(&row())
        {
            return !seen.snapshot.sees(self.xid);
        }
        let mut verdict = shelf.judge(key, self.xid);
        if verdict == Verdict::Ask {
            match self.known.places.0.get(&row()) {
                Some((version, place)) if *version == shelf.version() => {
                    verdict = shelf.judge_placed(key, *place, self.xid);
                }
                _ => self.lacks.ask.push(row()),
            }
        }
        match verdict {
            Verdict::Apply => return true,
            Verdict::Skip | Verdict::Ask => {}
            Verdict::Wait => self.lacks.wait = true,
            Verdict::Absent => self.lacks.unseen |= !self.known.visible,
        }
        false
    }

    fn emptied(&mut self, change: &Change) -> Act {
        let mut all = Vec::new();
        for relation in std::iter::once(&change.relation).chain(&change.others) {
            let emptied = match self.book.find(&relation.schema, &relation.name) {
                _ if self.book.begun => Emptied::All,
                Some((_, shelf)) => shelf.emptied(self.xid),
                None => {
                    self.unknown(&relation.schema, &relation.name);
                    Emptied::Nothing
                }
            };
            self.lacks.wait |= emptied == Emptied::Wait;
            // What is copied later has to be empty of what this removes.
            self.lacks.unseen |= !self.known.visible;
            all.push(emptied);
        }
        Act::Empty(all)
    }
}

/// The key of a row; empty where nothing identifies it.
pub(crate) fn key_of(
    table: &Table,
    change: &Change,
    new: Option<Tuple<'_>>,
    old: Option<OldRow<'_>>,
) -> Result<KeyText, MessageError> {
    let values =
        |row: Option<Tuple<'_>>, at: usize| row.and_then(|row| row.values().nth(at)).and_then(text);
    let mut key = KeyText::with_capacity(table.key.len());
    for column in table.key_columns() {
        let at = change.relation.columns.iter().position(|known| known.name == column.name);
        let at = at.ok_or(MessageError::Count("key column"))?;
        let value = values(new, at).or_else(|| values(old.map(|old| old.tuple()), at));
        key.push(value.ok_or(MessageError::Count("key value"))?);
    }
    Ok(key)
}

fn text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// Whether a value is missing that did not change.
pub(crate) fn is_partial(row: Tuple<'_>) -> bool {
    row.values().any(|value| value == Value::Unchanged)
}
