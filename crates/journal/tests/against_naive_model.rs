//! The journal beside a model that keeps every mark in a list, under random actions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{
    Cause, Chunk, Depth, Finished, Journal, Lane, Leased, Markers, Outcome, Proof, Ticket,
};
use model::Key;
use proptest::prelude::*;

const KEYS: u8 = 6;

#[derive(Debug, Clone)]
enum Action {
    Begin(u8),
    Settle(usize, Outcome),
    Stale(u8, Lane, Cause, bool),
    /// A feed's report, received so long ago, by the table of an epoch.
    Reported(u8, u64, u64),
    Lease(usize),
    Finish(usize, How),
    Unpark(u8, bool),
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum How {
    Equal,
    /// Asked so long ago, by the table of an epoch.
    Proved(u64, u64),
    Moved,
    Returned,
    Later(u64),
    Park,
}

fn action() -> impl Strategy<Value = Action> {
    let lane = prop_oneof![Just(Lane::Live), Just(Lane::Bulk)];
    let cause = prop_oneof![Just(Cause::Scan), Just(Cause::Feed), Just(Cause::OwnWrite)];
    let outcome =
        prop_oneof![Just(Outcome::Applied), Just(Outcome::Nothing), Just(Outcome::Unknown)];
    let how = prop_oneof![
        2 => Just(How::Equal),
        4 => (0..20u64, 0..2u64).prop_map(|(ago, epoch)| How::Proved(ago, epoch)),
        1 => Just(How::Moved),
        1 => Just(How::Returned),
        1 => (0..40u64).prop_map(How::Later),
        1 => Just(How::Park),
    ];
    prop_oneof![
        (0..KEYS).prop_map(Action::Begin),
        (0..4usize, outcome).prop_map(|(i, o)| Action::Settle(i, o)),
        (0..KEYS, lane, cause, any::<bool>()).prop_map(|(k, l, c, b)| Action::Stale(k, l, c, b)),
        (0..KEYS, 0..20u64, 0..2u64).prop_map(|(k, ago, e)| Action::Reported(k, ago, e)),
        (1..5usize).prop_map(Action::Lease),
        (0..4usize, how).prop_map(|(i, h)| Action::Finish(i, h)),
        (0..KEYS, any::<bool>()).prop_map(|(k, r)| Action::Unpark(k, r)),
        (1..30u64).prop_map(Action::Wait),
    ]
}

/// Every mark of a key that no successful copy covers yet, oldest first.
#[derive(Default, Clone)]
struct Naive {
    flights: usize,
    marks: Vec<(Lane, Cause, Instant, Seen)>,
    /// How many of `marks` were there when it was leased.
    leased: Option<usize>,
    parked: bool,
    delayed: Option<Instant>,
    chunks: Vec<Arc<Chunk>>,
    /// What the last copy that left it clean proved.
    proof: Option<Proof>,
}

/// When a change was known to have happened, and by which table, if it may be covered.
type Seen = Option<(Instant, Option<u64>)>;

fn covers(proof: Proof, seen: Seen) -> bool {
    seen.is_some_and(|(at, epoch)| at < proof.at && epoch.is_none_or(|e| e == proof.epoch))
}

impl Naive {
    fn lane(&self) -> Option<Lane> {
        self.marks.iter().map(|m| m.0).max()
    }

    fn cause(&self) -> Option<Cause> {
        self.marks.iter().map(|m| m.1).max()
    }

    fn live_since(&self) -> Option<Instant> {
        self.marks.iter().filter(|m| m.0 == Lane::Live).map(|m| m.2).min()
    }

    fn mark(&mut self, lane: Lane, cause: Cause, now: Instant, seen: Seen) {
        if self.marks.is_empty() && self.proof.is_some_and(|proof| covers(proof, seen)) {
            return;
        }
        self.parked = false;
        self.delayed = None;
        self.marks.push((lane, cause, now, seen));
    }

    fn leasable(&self, now: Instant) -> bool {
        !self.marks.is_empty() && self.leased.is_none() && self.delayed.is_none_or(|at| at <= now)
    }
}

struct World {
    journal: Arc<Journal>,
    naive: BTreeMap<u8, Naive>,
    tickets: Vec<(u8, Ticket)>,
    leases: Vec<Leased>,
    chunks: Vec<(u8, Arc<Chunk>)>,
    now: Instant,
}

fn key(k: u8) -> Key {
    Key::new(&[k])
}

fn id(key: &Key) -> u8 {
    key.as_bytes()[0]
}

impl World {
    fn new() -> Self {
        Self {
            journal: Journal::new(1, Markers::new([])),
            naive: (0..KEYS).map(|k| (k, Naive::default())).collect(),
            tickets: Vec::new(),
            leases: Vec::new(),
            chunks: Vec::new(),
            now: Instant::now(),
        }
    }

    fn of(&mut self, k: u8) -> &mut Naive {
        self.naive.get_mut(&k).expect("every key has a model")
    }

    fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Begin(k) => {
                let (ticket, _) = self.journal.begin(vec![key(k)], false);
                self.tickets.push((k, ticket));
                self.of(k).flights += 1;
            }
            Action::Settle(i, outcome) if i < self.tickets.len() => {
                let (k, ticket) = self.tickets.swap_remove(i);
                self.journal.settle(ticket, outcome, now);
                self.of(k).flights -= 1;
                if outcome != Outcome::Nothing {
                    // Some writes are seen by no fence.
                    self.of(k).mark(Lane::Live, Cause::OwnWrite, now, None);
                }
            }
            Action::Reported(k, ago, epoch) => {
                let at = now - Duration::from_millis(ago);
                self.journal.reported([(key(k), at)], epoch, now);
                self.of(k).mark(Lane::Live, Cause::Feed, now, Some((at, Some(epoch))));
            }
            Action::Stale(k, lane, cause, chunked) => {
                let chunk = chunked.then(|| Chunk::new(1));
                self.journal.stale([key(k)], lane, cause, chunk.as_ref(), now);
                self.of(k).mark(lane, cause, now, None);
                if let Some(chunk) = chunk {
                    self.chunks.push((k, Arc::clone(&chunk)));
                    self.of(k).chunks.push(chunk);
                }
            }
            Action::Lease(max) => self.lease(max),
            Action::Finish(i, how) if i < self.leases.len() => self.finish(i, how),
            Action::Unpark(k, retry) => {
                let was = self.of(k).parked;
                assert_eq!(self.journal.unpark(&key(k), retry, now), was);
                if was {
                    self.of(k).parked = false;
                    if retry {
                        self.of(k).mark(Lane::Live, Cause::OwnWrite, now, None);
                    }
                }
            }
            Action::Wait(ms) => self.now += Duration::from_millis(ms),
            Action::Settle(..) | Action::Finish(..) => {}
        }
    }

    fn lease(&mut self, max: usize) {
        let now = self.now;
        let count = |w: &Self, lane| {
            w.naive.values().filter(|n| n.leasable(now) && n.lane() == Some(lane)).count()
        };
        let live = count(self, Lane::Live).min(max);
        let bulk = count(self, Lane::Bulk).min(max);
        let got = self.journal.lease(0, max, max, now);
        assert_eq!(got.len(), live + bulk, "every leasable key, and no other, is handed out");
        assert!(got.iter().take(live).all(|l| l.lane == Lane::Live), "live goes first");
        for leased in got {
            let naive = self.of(id(&leased.key));
            assert!(naive.leasable(now), "{:?} is in two hands, clean, or delayed", leased.key);
            assert_eq!(Some(leased.cause), naive.cause());
            assert_eq!(Some(leased.lane), naive.lane());
            naive.leased = Some(naive.marks.len());
            naive.delayed = None;
            self.leases.push(leased);
        }
    }

    fn finish(&mut self, i: usize, how: How) {
        let now = self.now;
        let leased = self.leases.swap_remove(i);
        let real = match how {
            How::Equal => Finished::Equal,
            How::Proved(ago, epoch) => {
                Finished::Proved(Proof { at: now - Duration::from_millis(ago), epoch })
            }
            How::Moved => Finished::Moved,
            How::Returned => Finished::Returned,
            How::Later(ms) => Finished::Later(Duration::from_millis(ms)),
            How::Park => Finished::Park { code: "EXO-TST-001", reason: "test".into() },
        };
        self.journal.finish(&leased, real.clone(), now);
        let naive = self.of(id(&leased.key));
        let seen = naive.leased.take().expect("it was leased");
        let touched = naive.marks.len() > seen;
        match how {
            How::Equal => {
                naive.marks.drain(..seen);
            }
            How::Proved(ago, epoch) => {
                let proof = Proof { at: now - Duration::from_millis(ago), epoch };
                let live = naive.lane() == Some(Lane::Live);
                naive.marks.drain(..seen);
                if naive.marks.iter().all(|mark| covers(proof, mark.3)) {
                    naive.marks.clear();
                    if live {
                        naive.proof = Some(proof);
                    }
                }
            }
            How::Park if !touched => {
                naive.marks.clear();
                naive.parked = true;
            }
            How::Later(ms) if !touched => naive.delayed = Some(now + Duration::from_millis(ms)),
            _ => {}
        }
        self.journal.finish(&leased, real, now);
    }

    fn check(&self) {
        let live = self.naive.values().filter(|n| n.lane() == Some(Lane::Live)).count();
        let bulk = self.naive.values().filter(|n| n.lane() == Some(Lane::Bulk)).count();
        let in_flight = self.naive.values().filter(|n| n.flights > 0).count();
        let parked = self.naive.values().filter(|n| n.parked).count();
        assert_eq!(self.journal.depth(), Depth { in_flight, live, bulk, parked });
        let oldest = self.naive.values().filter_map(Naive::live_since).min();
        assert_eq!(self.journal.oldest(), oldest, "the lag is the oldest uncopied live mark");
        for (k, naive) in &self.naive {
            let unsettled = naive.flights > 0 || !naive.marks.is_empty() || naive.parked;
            assert_eq!(self.journal.unsettled(&key(*k)), unsettled, "key {k}");
        }
        let listed: Vec<_> = self.journal.parked(100).iter().map(|(k, _)| id(k)).collect();
        let expected: Vec<_> =
            self.naive.iter().filter(|(_, n)| n.parked).map(|(k, _)| *k).collect();
        assert_eq!(listed, expected);
        for (k, chunk) in &self.chunks {
            let naive = &self.naive[k];
            let may_wait = naive.lane() == Some(Lane::Bulk);
            assert!(chunk.outstanding() <= usize::from(may_wait), "a chunk waits for nothing");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_a_list_of_marks(actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
            world.check();
        }
        // Whatever happened, everything can be brought to rest.
        for (_, ticket) in std::mem::take(&mut world.tickets) {
            world.journal.settle(ticket, Outcome::Applied, world.now);
        }
        world.now += Duration::from_secs(1);
        for leased in std::mem::take(&mut world.leases) {
            world.journal.finish(&leased, Finished::Returned, world.now);
        }
        for leased in world.journal.lease(0, 100, 100, world.now) {
            world.journal.finish(&leased, Finished::Equal, world.now);
        }
        prop_assert!(world.journal.depth().drained());
        prop_assert!(world.chunks.iter().all(|(_, c)| c.outstanding() == 0));
    }
}
