//! Single laws of the journal, each found by thinking of how it could be broken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{
    Bucket, Cause, Chunk, Finished, Journal, Lane, Markers, Outcome, Proof, bucket_of, key_hash,
};
use model::Key;

fn key(text: &str) -> Key {
    Key::new(text.as_bytes())
}

fn write(journal: &Arc<Journal>, text: &str, now: Instant) -> journal::Settlement {
    let (ticket, _) = journal.begin(vec![key(text)], false);
    journal.settle(ticket, Outcome::Applied, now)
}

async fn soon(what: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), what).await.is_ok()
}

#[tokio::test]
async fn a_waiter_is_told_by_the_copy_that_covers_its_write_and_by_no_earlier_one() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    let first = write(&journal, "a", now);
    let lease = journal.lease(0, 9, 9, now).remove(0);
    let second = write(&journal, "a", now);
    journal.finish(&lease, Finished::Equal, now);
    assert!(soon(journal.copied(first)).await);
    assert!(!soon(journal.copied(second.clone())).await, "its write came after the lease");
    let lease = journal.lease(0, 9, 9, now).remove(0);
    journal.finish(&lease, Finished::Equal, now);
    assert!(soon(journal.copied(second)).await);
}

#[test]
fn a_report_of_what_a_copy_proved_is_no_work_and_a_later_one_is() {
    let journal = Journal::new(1, Markers::new([]));
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let proved = |journal: &Journal, ms| {
        let lease = journal.lease(0, 9, 9, at(ms)).remove(0);
        journal.finish(&lease, Finished::Proved(Proof { at: at(ms), epoch: 1 }), at(ms));
    };
    write(&journal, "a", at(0));
    proved(&journal, 10);
    // The feed's report of the same write, however late it is looked at.
    journal.reported([(key("a"), at(1))], 1, at(50));
    assert!(journal.depth().drained());
    // One of the moment the copy was proved, one by another table, and one that came later.
    for (seen, epoch) in [(10, 1), (1, 2), (11, 1)] {
        journal.reported([(key("a"), at(seen))], epoch, at(50));
        assert_eq!(journal.depth().live, 1, "seen at {seen} by table {epoch}");
        proved(&journal, 10);
    }
    // While it is copied: covered by the proof, or left over.
    for (wrote, seen, left) in [(0, 5, 0), (51, 60, 1)] {
        write(&journal, "b", at(wrote));
        let lease = journal.lease(0, 9, 9, at(0)).remove(0);
        journal.reported([(key("b"), at(seen))], 1, at(70));
        journal.finish(&lease, Finished::Proved(Proof { at: at(50), epoch: 1 }), at(70));
        assert_eq!(journal.depth().live, left);
    }
    // A write without a reply may run yet: no copy before it covers it.
    let (ticket, _) = journal.begin(vec![key("c")], false);
    journal.reported([(key("c"), at(0))], 1, at(0));
    for lease in journal.lease(0, 9, 9, at(0)) {
        journal.finish(&lease, Finished::Proved(Proof { at: at(90), epoch: 1 }), at(90));
    }
    journal.settle(ticket, Outcome::Unknown, at(80));
    assert_eq!(journal.depth().live, 1);
}

#[tokio::test]
async fn a_settlement_means_the_same_after_its_entry_was_forgotten() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    let mut old = journal::Settlement::default();
    for _ in 0..5 {
        old = write(&journal, "a", now);
    }
    let lease = journal.lease(0, 9, 9, now).remove(0);
    journal.finish(&lease, Finished::Equal, now);
    write(&journal, "a", now);
    assert!(soon(journal.copied(old)).await, "that write was copied long ago");
}

#[test]
fn a_dropped_ticket_leaves_its_keys_dirty() {
    let journal = Journal::new(1, Markers::new([]));
    let (ticket, _) = journal.begin(vec![key("a")], true);
    assert!(journal.anything_pending());
    drop(ticket);
    let depth = journal.depth();
    assert_eq!((depth.in_flight, depth.live), (0, 1));
    assert!(journal.anything_pending(), "only a feed fence ends it");
    journal.anything_fenced(journal.anything_mark());
    assert!(!journal.anything_pending());
}

#[test]
fn a_hot_key_does_not_starve_another_shard() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    let texts: Vec<String> = (0..200).map(|i| format!("k{i}")).collect();
    for text in &texts {
        write(&journal, text, now);
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4_000 {
        let lease = journal.lease(0, 1, 0, now).remove(0);
        seen.insert(lease.key.clone());
        journal.finish(&lease, Finished::Moved, now);
    }
    assert_eq!(seen.len(), texts.len());
}

#[test]
fn a_first_write_of_a_clean_bucket_is_not_marked_until_the_marker_is_stored() {
    let journal = Journal::new(1, Markers::new([]));
    let (ticket, marked) = journal.begin(vec![key("a")], false);
    assert!(!marked);
    journal.markers().mark_durable(&[bucket_of(key_hash(&key("a")))]);
    let (second, marked) = journal.begin(vec![key("a")], false);
    assert!(marked);
    drop((ticket, second));
}

#[tokio::test]
async fn an_unnamed_write_needs_every_marker() {
    let journal = Journal::new(1, Markers::new([]));
    let (ticket, marked) = journal.begin(Vec::new(), true);
    assert!(!marked);
    let wanted = journal.markers().next_wanted().await;
    assert_eq!(wanted.len(), journal::BUCKETS);
    journal.markers().mark_durable(&wanted);
    assert!(journal.marked(&ticket).await);
    drop(ticket);
}

#[tokio::test]
async fn a_store_that_keeps_no_markers_is_reported_to_the_waiting_write() {
    let journal = Journal::new(1, Markers::new([]));
    let (ticket, _) = journal.begin(vec![key("a")], false);
    journal.markers().fail();
    assert!(!journal.marked(&ticket).await);
}

#[test]
fn a_marker_of_a_busy_bucket_is_not_taken_back() {
    let bucket = bucket_of(key_hash(&key("a")));
    let other = Bucket(bucket.0 ^ 1);
    let journal = Journal::new(1, Markers::new([bucket, other]));
    assert!(journal.unsettled(&key("b")), "nobody has looked since the unclean stop");
    journal.set_uncertain(false);
    let (ticket, marked) = journal.begin(vec![key("a")], false);
    assert!(marked);
    assert_eq!(journal.clear_quiet(&[bucket, other]), vec![other]);
    assert!(journal.markers().is_durable(bucket));
    assert!(!journal.markers().is_durable(other));
    drop(ticket);
    journal.set_uncertain(true);
    assert!(journal.clear_quiet(&[bucket]).is_empty(), "nothing is certain");
}

/// A write that begins while its bucket's marker is being taken back is either seen, or waits.
#[test]
fn taking_a_marker_back_races_with_a_write() {
    let bucket = bucket_of(key_hash(&key("a")));
    for _ in 0..400 {
        let journal = Journal::new(1, Markers::new([bucket]));
        journal.set_uncertain(false);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let writer = std::thread::spawn({
            let (journal, barrier) = (Arc::clone(&journal), Arc::clone(&barrier));
            move || {
                barrier.wait();
                journal.begin(vec![key("a")], false)
            }
        });
        barrier.wait();
        let cleared = journal.clear_quiet(&[bucket]);
        let (ticket, marked) = writer.join().expect("the writer does not panic");
        assert!(!marked || cleared.is_empty(), "sent under a marker that is gone");
        drop(ticket);
    }
}

#[test]
fn a_parked_key_comes_back_when_it_is_written_and_stays_unsettled_until_then() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    write(&journal, "a", now);
    let lease = journal.lease(0, 9, 9, now).remove(0);
    let park = Finished::Park { code: "EXO-TST-001", reason: "no".into() };
    journal.finish(&lease, park, now);
    assert!(journal.depth().drained());
    assert!(journal.unsettled(&key("a")));
    write(&journal, "a", now);
    assert_eq!(journal.depth().parked, 0);
    assert_eq!(journal.lease(0, 9, 9, now).len(), 1);
}

#[tokio::test]
async fn a_chunk_ends_when_its_keys_are_copied_parked_or_overtaken() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    let chunk = Chunk::new(3);
    let keys = ["a", "b", "c"].map(key);
    journal.stale(keys, Lane::Bulk, Cause::Scan, Some(&chunk), now);
    let leases = journal.lease(0, 9, 9, now);
    assert_eq!(leases.len(), 3);
    journal.finish(&leases[0], Finished::Equal, now);
    let park = Finished::Park { code: "EXO-TST-001", reason: "no".into() };
    journal.finish(&leases[1], park, now);
    assert_eq!(chunk.outstanding(), 1);
    let hot = String::from_utf8(leases[2].key.as_bytes().to_vec()).expect("ASCII");
    write(&journal, &hot, now);
    assert!(soon(chunk.finished()).await);
}

#[tokio::test]
async fn whoever_waits_for_a_change_misses_none() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    write(&journal, "a", now);
    let lease = journal.lease(0, 9, 9, now).remove(0);
    let changed = journal.changed();
    journal.finish(&lease, Finished::Equal, now);
    assert!(soon(changed).await, "it changed after the wait was taken");
    assert!(!soon(journal.changed()).await, "nothing changed since");
}

#[test]
fn leases_of_copiers_that_are_gone_are_handed_out_again() {
    let journal = Journal::new(1, Markers::new([]));
    let now = Instant::now();
    write(&journal, "a", now);
    let lost = journal.lease(0, 9, 9, now).remove(0);
    assert!(journal.lease(0, 9, 9, now).is_empty());
    journal.reclaim();
    let lease = journal.lease(0, 9, 9, now).remove(0);
    assert_eq!(lease.key, lost.key);
    journal.finish(&lease, Finished::Equal, now);
    assert!(journal.depth().drained());
}
