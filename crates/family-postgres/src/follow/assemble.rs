//! Messages of the stream become transactions.
//!
//! A transaction is kept until its commit as long as it is small; a large one is handed on in
//! parts. One that carries our own marker is dropped as it comes: our appliers say it first, so
//! nothing of it was handed on before.

use bytes::Bytes;
use wire_postgres::logical::{Decoder, Event};
use wire_postgres::{Lsn, MessageError};

use super::change::Change;
use super::relation::Relations;

/// What is kept of one transaction before it is handed on in parts.
pub(crate) const BYTES_MAX: usize = 8 << 20;

/// Changes of one transaction, all or some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transaction {
    /// Its id at the followed side.
    pub(crate) xid: u32,
    /// Where its commit stands.
    pub(crate) commit: Lsn,
    /// Where its commit ends: what may be confirmed. 0 while that is not known.
    pub(crate) end: Lsn,
    /// The changes in order.
    pub(crate) changes: Vec<Change>,
    /// It was made by us.
    pub(crate) marked: bool,
}

/// What a message completes.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing yet.
    More,
    /// A transaction, whole.
    Whole(Transaction),
    /// A part of a large one; its end follows.
    Part(Transaction),
    /// The last part of a large one.
    Last(Transaction),
}

/// Collects one stream.
#[derive(Debug)]
pub(crate) struct Assembler {
    decoder: Decoder,
    relations: Relations,
    marker: String,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    tx: Transaction,
    bytes: usize,
    parted: bool,
}

impl Assembler {
    /// At the beginning of a stream; `marker` is the prefix of our own transactions' message.
    pub(crate) fn new(marker: &str) -> Self {
        let relations = Relations::default();
        Self { decoder: Decoder::new(), relations, marker: marker.to_owned(), open: None }
    }

    /// Whether a transaction is being told.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next message.
    pub(crate) fn take(&mut self, data: &Bytes) -> Result<Step, MessageError> {
        let message = self.decoder.decode(data)?;
        match message.event {
            Event::Begin(begin) => {
                let tx =
                    Transaction { xid: begin.xid, commit: begin.final_lsn, ..Default::default() };
                self.open = Some(Open { tx, bytes: 0, parted: false });
            }
            Event::Commit(commit) => {
                let mut open = self.open.take().ok_or(MessageError::Count("open transaction"))?;
                open.tx.end = commit.end_lsn;
                return Ok(if open.parted { Step::Last(open.tx) } else { Step::Whole(open.tx) });
            }
            Event::Relation(told) => self.relations.learn(&told),
            Event::Insert { relation, .. }
            | Event::Update { relation, .. }
            | Event::Delete { relation, .. } => return self.change(&[relation], data),
            Event::Truncate(truncate) => {
                let relations: Vec<u32> = truncate.relations().collect();
                return self.change(&relations, data);
            }
            Event::Message(said) if said.transactional && said.prefix == self.marker.as_bytes() => {
                if let Some(open) = &mut self.open {
                    open.tx.marked = true;
                    open.tx.changes.clear();
                }
            }
            Event::Origin(_) | Event::Type(_) | Event::Message(_) => {}
            // Not asked for: neither streaming nor two-phase is switched on.
            _ => return Err(MessageError::Count("message of a transaction in progress")),
        }
        Ok(Step::More)
    }

    fn change(&mut self, relations: &[u32], data: &Bytes) -> Result<Step, MessageError> {
        let open = self.open.as_mut().ok_or(MessageError::Count("open transaction"))?;
        if open.tx.marked {
            return Ok(Step::More);
        }
        let known = |oid: &u32| self.relations.get(*oid).cloned();
        let mut told: Vec<_> = relations.iter().filter_map(known).collect();
        if told.len() < relations.len() || told.is_empty() {
            return Err(MessageError::Count("relation"));
        }
        let first = told.remove(0);
        let change = Change::new(first, told, data.clone());
        open.bytes += change.bytes();
        open.tx.changes.push(change);
        if open.bytes < BYTES_MAX {
            return Ok(Step::More);
        }
        open.bytes = 0;
        open.parted = true;
        let changes = std::mem::take(&mut open.tx.changes);
        Ok(Step::Part(Transaction { changes, ..open.tx.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(xid: u32) -> Bytes {
        let mut out = b"B".to_vec();
        out.extend(100u64.to_be_bytes());
        out.extend(0i64.to_be_bytes());
        out.extend(xid.to_be_bytes());
        out.into()
    }

    fn commit() -> Bytes {
        let mut out = b"C\0".to_vec();
        out.extend(100u64.to_be_bytes());
        out.extend(108u64.to_be_bytes());
        out.extend(0i64.to_be_bytes());
        out.into()
    }

    fn relation() -> Bytes {
        let mut out = b"R\0\0\0\x09s\0t\0d\0\x01\x01id\0".to_vec();
        out.extend(23u32.to_be_bytes());
        out.extend((-1i32).to_be_bytes());
        out.into()
    }

    fn insert(len: usize) -> Bytes {
        let mut out = b"I\0\0\0\x09N\0\x01t".to_vec();
        out.extend(u32::try_from(len).unwrap().to_be_bytes());
        out.extend(std::iter::repeat_n(b'1', len));
        out.into()
    }

    fn message(prefix: &str) -> Bytes {
        let mut out = b"M\x01".to_vec();
        out.extend(5u64.to_be_bytes());
        out.extend(prefix.as_bytes());
        out.extend(b"\0\0\0\0\x010");
        out.into()
    }

    fn play(messages: &[Bytes]) -> Vec<Step> {
        let mut assembler = Assembler::new("ours");
        let steps = messages.iter().map(|m| assembler.take(m).unwrap());
        steps.filter(|step| !matches!(step, Step::More)).collect()
    }

    #[test]
    fn a_small_transaction_comes_whole() {
        let steps = play(&[begin(7), relation(), insert(1), insert(2), commit()]);
        let [Step::Whole(tx)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((tx.xid, tx.end, tx.changes.len()), (7, Lsn(108), 2));
        assert_eq!(tx.changes[0].relation.shown(), "s.t");
        assert!(matches!(tx.changes[1].deed(), Ok(Deed::Insert(_))));
    }

    use super::super::change::Deed;

    #[test]
    fn a_large_one_comes_in_parts_that_hold_no_more_than_the_bound() {
        let big = BYTES_MAX / 2 + 1;
        let steps = play(&[begin(7), relation(), insert(big), insert(big), insert(3), commit()]);
        let [Step::Part(part), Step::Last(last)] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((part.xid, part.end, part.changes.len()), (7, Lsn(0), 2));
        assert_eq!((last.end, last.changes.len()), (Lsn(108), 1));
    }

    #[test]
    fn our_own_is_dropped_and_others_messages_are_not_ours() {
        let ours = play(&[begin(7), message("ours"), relation(), insert(1), commit()]);
        assert!(matches!(&ours[..], [Step::Whole(tx)] if tx.marked && tx.changes.is_empty()));
        let other = play(&[begin(7), message("ours2"), relation(), insert(1), commit()]);
        assert!(matches!(&other[..], [Step::Whole(tx)] if !tx.marked && tx.changes.len() == 1));
    }

    #[test]
    fn a_change_outside_a_transaction_or_of_an_unknown_relation_is_refused() {
        let mut assembler = Assembler::new("ours");
        assert!(assembler.take(&relation()).is_ok());
        assert!(assembler.take(&insert(1)).is_err());
        let mut assembler = Assembler::new("ours");
        assert!(assembler.take(&begin(1)).is_ok());
        assert!(assembler.take(&insert(1)).is_err());
    }
}
