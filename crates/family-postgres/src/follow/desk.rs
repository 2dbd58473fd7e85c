//! What the copier and the applier of one direction know of each other.
//!
//! Constraint: nobody waits here with a transaction open on the other side. A chunk whose COPY
//! waits for a row of the applier, while the applier waits here for the chunk, would be a deadlock
//! that no server sees. So a transaction is judged whole before its first change is applied, and
//! copying is paused for one that is too large to be kept whole.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use wire_postgres::Lsn;

use super::order::KeyText;
use super::shelf::{Seen, Shelf};
use super::table::Table;

/// Shared by the copier and the applier.
pub(crate) struct Desk {
    book: Mutex<Book>,
    /// Told after every change that somebody may wait for.
    news: watch::Sender<u64>,
}

/// All that was copied.
#[derive(Default)]
pub(crate) struct Book {
    /// This direction copies nothing: whatever it tells counts.
    pub(crate) begun: bool,
    tables: HashMap<(String, String), Entry>,
    paused: usize,
}

struct Entry {
    table: Arc<Table>,
    shelf: Shelf,
}

impl Book {
    /// A table by schema and name, and what was copied of it.
    pub(crate) fn find(&self, schema: &str, name: &str) -> Option<(&Arc<Table>, &Shelf)> {
        // The names come from the stream, where they are borrowed: one key is made for each look.
        let entry = self.tables.get(&(schema.to_owned(), name.to_owned()))?;
        Some((&entry.table, &entry.shelf))
    }

    /// All tables that move.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values().map(|entry| &entry.table)
    }

    /// Whether nothing of any table is left to be judged.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun || self.tables.values().all(|entry| entry.shelf.is_whole())
    }

    fn shelf(&mut self, table: &Table) -> &mut Shelf {
        let key = (table.schema.clone(), table.name.clone());
        let entry = self.tables.entry(key).or_insert_with(|| Entry {
            table: Arc::new(table.clone()),
            shelf: Shelf::new(table.order()),
        });
        &mut entry.shelf
    }
}

impl Desk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { book: Mutex::default(), news: watch::Sender::new(0) })
    }

    /// Looks at the book; nothing in it changes meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.lock())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let changed = change(&mut self.book.lock());
        self.news.send_modify(|n| *n = n.wrapping_add(1));
        changed
    }

    /// Whoever waits for news subscribes before looking.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The tables as the catalog has them now. What was copied of known ones stays.
    pub(crate) fn learn(&self, tables: &[Table]) {
        self.change(|book| {
            for table in tables {
                let key = (table.schema.clone(), table.name.clone());
                match book.tables.get_mut(&key) {
                    Some(entry) => entry.table = Arc::new(table.clone()),
                    None => {
                        book.shelf(table);
                    }
                }
            }
        });
    }

    /// Nothing is known any more. Chunks that are being copied are not here after it.
    pub(crate) fn forget(&self) {
        self.change(|book| {
            book.begun = false;
            book.tables.clear();
        });
    }

    /// Whatever the stream tells counts from here on.
    pub(crate) fn set_begun(&self) {
        self.change(|book| book.begun = true);
    }

    /// A chunk that an earlier process copied.
    pub(crate) fn restore(
        &self,
        table: &Table,
        lower: Option<KeyText>,
        upper: Option<KeyText>,
        seen: Seen,
    ) {
        self.change(|book| book.shelf(table).restore(lower, upper, seen));
    }

    /// A row was copied again.
    pub(crate) fn refetched(&self, table: &Table, key: KeyText, seen: Seen) {
        self.change(|book| book.shelf(table).refetched(key, seen));
    }

    /// Progress up to here is durable on the other side.
    pub(crate) fn settle(&self, upto: Lsn) {
        let waiting = |book: &Book| book.tables.values().any(|entry| !entry.shelf.is_settled());
        if self.look(waiting) {
            self.change(|book| {
                for entry in book.tables.values_mut() {
                    entry.shelf.settle(upto);
                }
            });
        }
    }

    /// Whether a chunk still remembers its snapshot.
    pub(crate) fn holds(&self) -> bool {
        self.look(|book| book.tables.values().any(|entry| !entry.shelf.is_settled()))
    }

    /// Whether a chunk is being copied.
    pub(crate) fn is_filling(&self) -> bool {
        self.look(|book| book.tables.values().any(|entry| entry.shelf.is_filling()))
    }

    /// Begins a chunk, before its snapshot is taken; waits while copying is paused. `None` when
    /// one with this lower bound is there already.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        table: &Arc<Table>,
        lower: Option<KeyText>,
        upper: Option<KeyText>,
    ) -> Option<Filling> {
        let mut news = self.news();
        loop {
            let begun = self
                .change_unless_paused(|book| book.shelf(table).begin(lower.clone(), upper.clone()));
            match begun {
                Some(id) => {
                    return id.map(|id| Filling { desk: self.clone(), table: table.clone(), id });
                }
                // The sender lives in `self`: it cannot have gone.
                None => {
                    let _ = news.changed().await;
                }
            }
        }
    }

    fn change_unless_paused<T>(&self, change: impl FnOnce(&mut Book) -> T) -> Option<T> {
        let changed = {
            let mut book = self.book.lock();
            (book.paused == 0).then(|| change(&mut book))
        };
        if changed.is_some() {
            self.news.send_modify(|n| *n = n.wrapping_add(1));
        }
        changed
    }

    /// No chunk begins until the pause is dropped. Those that have begun go on.
    pub(crate) fn pause(self: &Arc<Self>) -> Pause {
        self.change(|book| book.paused += 1);
        Pause(self.clone())
    }
}

/// Copying is paused as long as this lives.
pub(crate) struct Pause(Arc<Desk>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.change(|book| book.paused -= 1);
    }
}

/// A chunk that is being copied. Dropped, nothing of it is on the other side: whoever holds it
/// has made certain of that.
pub(crate) struct Filling {
    desk: Arc<Desk>,
    table: Arc<Table>,
    id: u64,
}

impl Filling {
    /// It is durable on the other side.
    pub(crate) fn done(self, seen: Seen) {
        self.desk.change(|book| book.shelf(&self.table).done(self.id, seen));
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.desk.change(|book| book.shelf(&self.table).failed(self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::Rank;
    use super::super::shelf::Verdict;
    use super::super::table::{Column, Identity};
    use super::*;

    fn table() -> Arc<Table> {
        let id = Column {
            name: "id".into(),
            type_name: "integer".into(),
            type_oid: 23,
            generated: false,
            always: false,
            rank: Rank::Number,
            collation: None,
        };
        Arc::new(Table {
            oid: 1,
            schema: "s".into(),
            name: "t".into(),
            parted: false,
            identity: Identity::Key,
            columns: vec![id],
            key: vec![0],
            rows: 0,
            bytes: 0,
        })
    }

    #[tokio::test]
    async fn a_chunk_given_up_is_gone_and_a_done_one_stays() {
        let (desk, table) = (Desk::new(), table());
        let judge = |xid| {
            desk.look(|book| {
                book.find("s", "t").map(|(_, shelf)| shelf.judge(&vec!["1".into()], xid))
            })
        };
        assert_eq!(judge(11), None);
        let filling = desk.begin(&table, None, None).await.unwrap();
        assert!(desk.begin(&table, None, None).await.is_none() && desk.is_filling());
        assert_eq!(judge(11), Some(Verdict::Wait));
        drop(filling);
        assert_eq!(judge(11), Some(Verdict::Absent));
        let filling = desk.begin(&table, None, None).await.unwrap();
        filling.done(Seen { snapshot: "10:12:".parse().unwrap(), upto: Lsn(5) });
        assert_eq!(judge(11), Some(Verdict::Skip));
        assert!(desk.holds() && !desk.is_filling());
        desk.settle(Lsn(5));
        assert!(desk.look(Book::is_whole));
    }

    #[tokio::test]
    async fn nothing_begins_while_copying_is_paused() {
        let (desk, table) = (Desk::new(), table());
        let pause = desk.pause();
        let begun = tokio::spawn({
            let (desk, table) = (desk.clone(), table.clone());
            async move { desk.begin(&table, None, None).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!desk.is_filling());
        drop(pause);
        assert!(begun.await.unwrap());
    }
}
