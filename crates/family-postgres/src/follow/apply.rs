//! How the stream judges and applies what it has assembled.

use std::sync::Arc;
use std::time::Duration;

use family::{PortError, StreamEvent, Trouble};
use model::Key;
use wire_postgres::logical::OldRow;

use super::applier::{Decided, Stop, Upset};
use super::assemble::Transaction;
use super::careful::{Conflict, Done};
use super::change::{Change, Deed};
use super::code;
use super::judge::{self, Act, Judged, Known, Places, key_of};
use super::order::KeyText;
use super::runs;
use super::shelf::Seen;
use super::stream::{Group, Stream};
use super::table::{self, Table};
use crate::error;
use crate::key;

/// Keys named of one foreign transaction.
const NAMED_MAX: usize = 16;
/// How often a transaction is tried again before the stream gives up for a while.
const ATTEMPTS_MAX: u32 = 8;
/// Pause before a transaction that is not visible yet is looked at again.
const LOOK: Duration = Duration::from_millis(2);
/// And how often, before that is an error to be tried later.
const LOOKS_MAX: u32 = 100;

impl Stream {
    /// Takes a whole transaction. `false`: a chunk has to come first.
    pub(super) async fn whole(&mut self, tx: &Transaction) -> Result<bool, PortError> {
        if self.is_past(tx) || tx.changes.is_empty() {
            self.pass(tx.end);
            return Ok(true);
        }
        if self.is_audit() {
            self.commit().await?;
            self.foreign(tx)?;
            self.pass(tx.end);
            return Ok(true);
        }
        let Some(acts) = self.judged(tx).await? else { return Ok(false) };
        if acts.iter().all(|act| *act == Act::Skip) {
            self.pass(tx.end);
            return Ok(true);
        }
        let alone = acts.iter().any(|act| matches!(act, Act::Refetch(_)));
        if alone {
            self.commit().await?;
        }
        let from = self.group.decided.len();
        self.group.decided.extend(tx.changes.iter().cloned().zip(acts));
        self.group.transactions += 1;
        self.group.end = self.group.end.max(tx.end);
        if alone || tx.commit <= self.careful_upto {
            return self.again(None).await.map(|()| true);
        }
        self.applier.begin(tx.commit);
        match self.queue(from).await {
            Ok(()) if self.is_full() => self.commit().await?,
            Ok(()) => {}
            Err(Stop::Upset(upset)) => self.again(Some(upset)).await?,
            Err(Stop::Broken(error)) => return Err(error),
        }
        Ok(true)
    }

    /// Queues what was decided from here on.
    async fn queue(&mut self, from: usize) -> Result<(), Stop> {
        let mut at = from;
        while at < self.group.decided.len() {
            let table = self.source_table(at);
            let rest = &self.group.decided[at..];
            at += match runs::run(rest) {
                0 => {
                    self.applier.add(table.as_deref(), &rest[0]).await?;
                    1
                }
                rows => {
                    self.applier.copy(table.as_deref(), &rest[..rows]).await?;
                    rows
                }
            };
        }
        Ok(())
    }

    fn source_table(&mut self, at: usize) -> Option<Arc<Table>> {
        let relation = &self.group.decided[at].0.relation;
        self.table_of(&relation.clone())
    }

    pub(super) fn table_of(
        &mut self,
        relation: &Arc<super::relation::Relation>,
    ) -> Option<Arc<Table>> {
        if let Some((known, table)) = self.tables.get(&relation.oid)
            && Arc::ptr_eq(known, relation)
        {
            return table.clone();
        }
        let table = self.shared.desk.look(|book| {
            book.find(&relation.schema, &relation.name).map(|(table, _)| table.clone())
        });
        self.tables.insert(relation.oid, (relation.clone(), table.clone()));
        table
    }

    /// Commits the group, if there is one.
    pub(super) async fn commit(&mut self) -> Result<(), PortError> {
        if self.group.is_empty() {
            return Ok(());
        }
        match self.applier.commit(self.group.end).await {
            Ok(()) => {
                let group = std::mem::take(&mut self.group);
                self.passed(group.end, group.transactions, group.decided.len() as u64);
                Ok(())
            }
            Err(Stop::Upset(upset)) => self.again(Some(upset)).await,
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    /// Applies the group once more from its beginning, one change at a time, and commits it.
    async fn again(&mut self, mut upset: Option<Upset>) -> Result<(), PortError> {
        for attempt in 0..ATTEMPTS_MAX {
            if let Some(upset) = &upset {
                tracing::debug!(?upset, attempt, "a transaction is applied again, one by one");
            }
            if self.applier.is_open() {
                self.applier.rollback().await?;
            }
            let Group { decided, transactions, end } = std::mem::take(&mut self.group);
            let tried = self.one_by_one(&decided, end).await;
            self.group = Group { decided, transactions, end };
            match tried {
                Ok((met, fresh)) => {
                    let group = std::mem::take(&mut self.group);
                    self.passed(group.end, group.transactions, group.decided.len() as u64);
                    self.conflicts(met);
                    for (table, key, seen) in fresh {
                        self.shared.desk.refetched(&table, key, seen);
                    }
                    return Ok(());
                }
                Err(Stop::Upset(again)) => upset = Some(again),
                Err(Stop::Broken(error)) => return Err(error),
            }
        }
        Err(match upset {
            Some(Upset::Again(said)) => (*said).into(),
            _ => unexpected(self.shared.to.address()),
        })
    }

    async fn one_by_one(
        &mut self,
        decided: &[Decided],
        end: wire_postgres::Lsn,
    ) -> Result<(Vec<Conflict>, Vec<(Arc<Table>, KeyText, Seen)>), Stop> {
        self.applier.begin(end);
        let (mut met, mut fresh) = (Vec::new(), Vec::new());
        for one in decided {
            self.carefully(one, &mut met, &mut fresh).await?;
        }
        self.applier.commit(end).await?;
        Ok((met, fresh))
    }

    async fn carefully(
        &mut self,
        one: &Decided,
        met: &mut Vec<Conflict>,
        fresh: &mut Vec<(Arc<Table>, KeyText, Seen)>,
    ) -> Result<(), Stop> {
        let relation = one.0.relation.clone();
        let table = self.table_of(&relation);
        let missing = match &one.1 {
            Act::Refetch(key) => Some(key.clone()),
            _ => match self.applier.careful(table.as_deref(), one).await? {
                Done::Plainly => None,
                Done::After(conflict) => {
                    met.push(conflict);
                    None
                }
                Done::Refetch(key) => Some(key),
            },
        };
        if let (Some(key), Some(table)) = (missing, table) {
            let fetched = self.source.fetch(&table, &key).await?;
            self.applier.put(&table, &key, &fetched).await?;
            fresh.push((table, key, fetched.seen));
        }
        Ok(())
    }

    pub(super) fn conflicts(&mut self, met: Vec<Conflict>) {
        self.said.extend(met.into_iter().map(|c| StreamEvent::Conflict {
            key: c.key,
            class: c.class,
            outcome: c.outcome,
        }));
    }

    /// Takes a part of a large transaction. `false`: a chunk has to come first.
    pub(super) async fn part(&mut self, tx: &Transaction, last: bool) -> Result<bool, PortError> {
        let past = self.is_past(tx);
        if self.large.is_none() && (past || self.is_audit()) {
            self.commit().await?;
            if !past {
                self.foreign(tx)?;
            }
            if last {
                self.pass(tx.end);
            }
            return Ok(true);
        }
        self.commit().await?;
        if self.large.is_none() {
            self.enlarge();
        }
        if self.shared.desk.is_filling() {
            return Ok(false);
        }
        let Some(acts) = self.judged(tx).await? else { return Ok(false) };
        self.applier.begin(tx.commit);
        match self.apply_part(tx, acts, last).await {
            Ok(()) => {}
            Err(Stop::Upset(upset)) => {
                tracing::debug!(?upset, "a large transaction is read again");
                let careful =
                    if matches!(upset, Upset::Unexpected) { tx.commit } else { self.careful_upto };
                self.reopen(careful).await?;
                return Ok(true);
            }
            Err(Stop::Broken(error)) => return Err(error),
        }
        if last && let Some(large) = self.large.take() {
            self.passed(tx.end, 1, large.changes);
        }
        Ok(true)
    }

    async fn apply_part(
        &mut self,
        tx: &Transaction,
        acts: Vec<Act>,
        last: bool,
    ) -> Result<(), Stop> {
        let careful = tx.commit <= self.careful_upto;
        let (mut met, mut fresh) = (Vec::new(), Vec::new());
        let decided: Vec<Decided> = tx.changes.iter().cloned().zip(acts).collect();
        let mut rest = &decided[..];
        while let Some(one) = rest.first() {
            let mut done = 1;
            if careful || matches!(one.1, Act::Refetch(_)) {
                self.applier.settle_all().await?;
                self.carefully(one, &mut met, &mut fresh).await?;
            } else {
                let table = self.table_of(&one.0.relation.clone());
                match runs::run(rest) {
                    0 => self.applier.add(table.as_deref(), one).await?,
                    rows => {
                        self.applier.copy(table.as_deref(), &rest[..rows]).await?;
                        done = rows;
                    }
                }
            }
            rest = &rest[done..];
        }
        self.conflicts(met);
        if let Some(large) = &mut self.large {
            large.changes += tx.changes.len() as u64;
            for (table, key, seen) in fresh {
                large.fresh.insert((table.schema.clone(), table.name.clone(), key), seen);
            }
        }
        if !last {
            return self.applier.settle_all().await;
        }
        self.applier.commit(tx.end).await?;
        let fresh = self.large.as_mut().map(|large| std::mem::take(&mut large.fresh));
        for ((schema, name, key), seen) in fresh.into_iter().flatten() {
            let table =
                self.shared.desk.look(|book| book.find(&schema, &name).map(|(t, _)| t.clone()));
            if let Some(table) = table {
                self.shared.desk.refetched(&table, key, seen);
            }
        }
        Ok(())
    }

    /// Judges every change; asks the followed side what it takes. `None`: a chunk has to come first.
    async fn judged(&mut self, tx: &Transaction) -> Result<Option<Vec<Act>>, PortError> {
        let shared = self.shared.clone();
        let mut places = Places::default();
        let mut visible = false;
        let none = std::collections::HashMap::new();
        for look in 0.. {
            let judged = {
                let fresh = self.large.as_ref().map_or(&none, |large| &large.fresh);
                let known = Known { visible, places: &places, gone: &self.gone, fresh };
                shared.desk.look(|book| judge::judge(book, tx, &known))
            };
            match judged.map_err(|e| error::undecodable(e, shared.from.address()))? {
                Judged::Acts(acts) => return Ok(Some(acts)),
                Judged::Wait => return Ok(None),
                Judged::Ask(rows) => {
                    let found = self.source.place(&shared, &rows).await?;
                    places.0.extend(found.0);
                }
                Judged::Unseen if look >= LOOKS_MAX => return Ok(None),
                Judged::Unseen => {
                    visible = self.source.is_visible(tx.xid).await?;
                    if !visible {
                        tokio::time::sleep(LOOK).await;
                    }
                }
                Judged::Unknown(schema, name) => self.learn(schema, name).await?,
            }
        }
        Ok(None)
    }

    /// A table that was not in the catalog: it is now, or it is gone.
    async fn learn(&mut self, schema: String, name: String) -> Result<(), PortError> {
        let shared = self.shared.clone();
        let mut from = shared.connect(&shared.from, super::shared::Work::Ask).await?;
        let tables = table::load(&mut from, shared.only()).await?;
        from.close().await;
        shared.desk.learn(&tables);
        self.tables.clear();
        let there = shared.desk.look(|book| book.find(&schema, &name).is_some());
        if !there {
            let dataset = key::dataset(&schema, &name);
            let why = "it is not there any more on the side that is followed".to_owned();
            self.said.push_back(StreamEvent::Stale { dataset, why });
            self.gone.insert((schema, name));
        }
        Ok(())
    }

    /// Names a transaction that somebody else made here.
    fn foreign(&mut self, tx: &Transaction) -> Result<(), PortError> {
        let mut keys = Vec::new();
        for change in tx.changes.iter().take(NAMED_MAX) {
            let table = self.table_of(&change.relation.clone());
            let key = named(table.as_deref(), change);
            keys.push(key.map_err(|e| error::undecodable(e, self.shared.from.address()))?);
        }
        keys.dedup();
        let at = family::Offset(tx.commit.0);
        self.said.push_back(StreamEvent::Foreign { at, keys, changes: tx.changes.len() as u64 });
        Ok(())
    }
}

fn named(table: Option<&Table>, change: &Change) -> Result<Key, wire_postgres::MessageError> {
    let values = match (table, change.deed()?) {
        (None, _) | (_, Deed::Truncate(_)) => KeyText::new(),
        (Some(table), Deed::Insert(new)) => key_of(table, change, Some(new), None)?,
        (Some(table), Deed::Update(old, new)) => key_of(table, change, Some(new), old)?,
        (Some(table), Deed::Delete(old)) => key_of(table, change, None, Some::<OldRow<'_>>(old))?,
    };
    let dataset = key::dataset(&change.relation.schema, &change.relation.name);
    Ok(key::encode(&dataset, values.iter().map(String::as_bytes)))
}

fn unexpected(at: &str) -> PortError {
    let message =
        format!("{at}: a change meets rows it does not expect, whatever is done about it");
    PortError::new(Trouble::Unreachable, code::READ_ANEW, message)
}
