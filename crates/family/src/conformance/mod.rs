//! The suite every family passes: what the engine relies on, as laws.
//!
//! A test makes two empty systems (or the same two, emptied) per law, and a [`Puppet`] for each:
//! a foreign client that shares no code with the family. A law panics with its name when broken.
//! What a server cannot do at all (`Trouble::Unsupported`) skips the laws that need it.
//!
//! Layout: `reading` (scan, fenced reads, digests), `writing` (apply, reap, fence of rights),
//! `following` (the change feed).

mod following;
mod reading;
mod writing;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Dataset, Key, Side};

use crate::{Database, Family, PortError, Trouble};

/// How long a law waits for something a server does in its own time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A foreign client of one system. Values are plain byte strings.
#[async_trait]
pub trait Puppet: Send + Sync {
    /// The identity the family gives to the record of this name.
    fn key(&self, name: &str) -> Key;
    /// Sets a record. Fails when the system refuses writes.
    async fn write(&self, name: &str, value: &str) -> Result<(), String>;
    /// Removes a record.
    async fn delete(&self, name: &str) -> Result<(), String>;
    /// Lets a record expire. `false` when records cannot expire.
    async fn expire(&self, name: &str, after: Duration) -> bool;
    /// Gives a record another name. `false` when that is no operation of the system.
    async fn rename(&self, from: &str, to: &str) -> bool;
    /// Removes everything at once. `false` when that is no operation of the system.
    async fn flush(&self) -> bool;
    /// Reads a record.
    async fn read(&self, name: &str) -> Option<String>;
}

/// Two empty systems of a family.
pub struct Stage {
    /// The family.
    pub family: Arc<dyn Family>,
    /// Both sides, by [`Side::index`], opened under one session tag.
    pub sides: [Arc<dyn Database>; 2],
    /// Both sides, opened under the tag of an older boot of the same migration.
    pub older: [Arc<dyn Database>; 2],
    /// A foreign client of each.
    pub puppets: [Arc<dyn Puppet>; 2],
}

impl Stage {
    fn database(&self, side: Side) -> &Arc<dyn Database> {
        &self.sides[side.index()]
    }

    fn puppet(&self, side: Side) -> &Arc<dyn Puppet> {
        &self.puppets[side.index()]
    }

    async fn write(&self, side: Side, name: &str, value: &str) {
        let written = self.puppet(side).write(name, value).await;
        assert!(written.is_ok(), "the test's own write on the {side} failed: {written:?}");
    }

    async fn delete(&self, side: Side, name: &str) {
        let deleted = self.puppet(side).delete(name).await;
        assert!(deleted.is_ok(), "the test's own delete on the {side} failed: {deleted:?}");
    }

    fn key(&self, name: &str) -> Key {
        self.puppet(Side::Source).key(name)
    }

    async fn datasets(&self, side: Side) -> Vec<Dataset> {
        let inventory = ok("inventory", self.database(side).inventory().await);
        inventory.into_iter().map(|one| one.dataset).collect()
    }
}

/// Judges a family. Calls `make` once per law; panics with the law that is broken.
pub async fn run<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Stage>,
{
    macro_rules! laws {
        ($($law:path),+ $(,)?) => { $( Box::pin($law(&make().await)).await; )+ };
    }
    laws!(
        identities_are_stable,
        reading::a_scan_names_every_record_that_stays,
        reading::a_fenced_read_confirms_what_did_not_move,
        reading::a_fenced_read_tells_every_kind_of_move,
        reading::a_turn_confirms_the_read_before_and_fences_the_next,
        reading::digests_are_equal_exactly_for_equal_records,
        reading::a_description_shows_no_value,
        writing::applying_makes_a_record_equal_in_any_repetition,
        writing::the_last_record_of_a_batch_wins,
        writing::exists_tells_what_is_there,
        writing::an_abandoned_apply_is_dead_after_reaping,
        writing::reaping_kills_older_boots_and_not_this_one,
        writing::a_fence_stops_others_and_not_us,
        following::a_feed_names_every_change_of_a_foreign_client,
        following::a_fence_follows_the_changes_before_it,
        following::fences_come_back_in_order_when_nothing_happens,
        following::a_flush_is_not_silent,
    );
}

/// Unwraps what has to work.
fn ok<T>(what: &str, result: Result<T, PortError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("`{what}` failed: {error}"),
    }
}

/// Unwraps what a server may lack; `None` skips the law.
fn can<T>(what: &str, result: Result<T, PortError>) -> Option<T> {
    match result {
        Err(error) if error.trouble == Trouble::Unsupported => None,
        result => Some(ok(what, result)),
    }
}

async fn identities_are_stable(stage: &Stage) {
    let mut seen = Vec::new();
    for side in [Side::Source, Side::Target] {
        assert_eq!(stage.database(side).side(), side);
        let first = ok("probe", stage.database(side).probe().await);
        let second = ok("probe", stage.database(side).probe().await);
        assert_eq!(first.identity, second.identity, "the {side}'s identity changed by itself");
        assert_eq!(first.incarnation, second.incarnation, "the {side} was not restarted");
        assert!(!first.identity.is_empty() && !first.incarnation.is_empty());
        seen.push(first.identity);
        ok("ping", stage.database(side).ping().await);
    }
    assert_ne!(seen[0], seen[1], "two systems have one identity");
    stage.write(Side::Source, "identity", "x").await;
    let key = stage.key("identity");
    assert_eq!(key, stage.puppet(Side::Target).key("identity"), "one record, one key");
    let dataset = stage.family.dataset_of(&key);
    assert!(stage.datasets(Side::Source).await.contains(&dataset), "{dataset} is not listed");
    assert!(stage.family.show_key(&key).contains("identity"));
}
