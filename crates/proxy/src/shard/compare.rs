//! Comparing the two sides' answers to the same read, off the client's path.
//!
//! The authority's reply is copied while it passes; the other side is asked on its own lane. A
//! difference counts only when the keys are settled before and after, and a second pair of
//! answers differs too: a write may have come and gone in between. While the other side is not
//! copied yet, what it merely lacks is neither agreement nor difference.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use family::{Protocol, Verdict};
use model::{Key, Side};

use super::Shard;
use super::lane::Failure;
use crate::counters::SAMPLES_MAX;
use crate::stats::DifferenceSample;

pub(crate) struct Comparison<P: Protocol> {
    shard: Rc<Shard<P>>,
    identity: P::Identity,
    authority: Side,
    class: u16,
    expect: family::Expect,
    request: Box<[u8]>,
    keys: Vec<Key>,
    replies: [RefCell<Vec<u8>>; 2],
    left: Cell<u8>,
    given_up: Cell<bool>,
    /// Whether the other side was copied and verified when it was asked.
    complete: bool,
    errors: [Cell<bool>; 2],
}

impl<P: Protocol> Comparison<P> {
    pub(crate) fn new(
        shard: &Rc<Shard<P>>,
        identity: P::Identity,
        authority: Side,
        request: &family::Request,
        raw: &[u8],
        keys: Vec<Key>,
        complete: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            shard: Rc::clone(shard),
            identity,
            authority,
            class: request.class,
            expect: request.expect,
            request: raw.into(),
            keys,
            replies: Default::default(),
            left: Cell::new(2),
            given_up: Cell::new(false),
            complete,
            errors: Default::default(),
        })
    }

    /// Part of a side's reply.
    pub(crate) fn feed(&self, side: Side, bytes: &[u8]) {
        let mut reply = self.replies[side.index()].borrow_mut();
        if reply.len() + bytes.len() > self.shard.limits().compare_bytes_max {
            self.given_up.set(true);
            *reply = Vec::new();
        } else if !self.given_up.get() {
            reply.extend_from_slice(bytes);
        }
    }

    /// A side cannot answer.
    pub(crate) fn give_up(self: &Rc<Self>) {
        self.given_up.set(true);
        self.one_done();
    }

    /// A side's reply is whole.
    pub(crate) fn complete(self: &Rc<Self>, side: Side, error: bool) {
        self.errors[side.index()].set(error);
        self.one_done();
    }

    fn one_done(self: &Rc<Self>) {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() > 0 {
            return;
        }
        match self.verdict() {
            Verdict::Equal => {
                self.shard.counters().numbers.compare.equal += 1;
                self.shard.comparison_over();
            }
            Verdict::NotComparable => {
                self.shard.counters().numbers.compare.skipped += 1;
                self.shard.comparison_over();
            }
            Verdict::Different if self.lacks() => {
                self.shard.counters().numbers.compare.missing += 1;
                self.shard.comparison_over();
            }
            Verdict::Different => {
                tokio::task::spawn_local(Rc::clone(self).look_twice());
            }
        }
    }

    /// Whether the other side, which is not complete yet, says no more than that it has nothing.
    fn lacks(&self) -> bool {
        let (ours, other) = self.pair();
        !self.complete && self.shard.protocol.lacks(self.class, &ours, &other)
    }

    /// Whether what several keys make together differs because some of them are not copied yet
    /// cannot be told.
    fn blurred(&self) -> bool {
        let other = self.authority.other();
        !self.complete && self.keys.len() > 1 && !self.errors[other.index()].get()
    }

    fn verdict(&self) -> Verdict {
        if self.given_up.get() || !self.shard.all_settled(&self.keys) {
            return Verdict::NotComparable;
        }
        let (ours, other) = self.pair();
        self.shard.protocol.compare(&self.request, self.class, &ours, &other)
    }

    fn pair(&self) -> (std::cell::Ref<'_, Vec<u8>>, std::cell::Ref<'_, Vec<u8>>) {
        let authority = self.replies[self.authority.index()].borrow();
        let other = self.replies[self.authority.other().index()].borrow();
        (authority, other)
    }

    /// Asks both sides once more; only what differs again is a difference.
    async fn look_twice(self: Rc<Self>) {
        let (a, b) = (self.ask(self.authority).await, self.ask(self.authority.other()).await);
        let (Ok(a), Ok(b)) = (a, b) else {
            self.shard.counters().numbers.compare.skipped += 1;
            return self.shard.comparison_over();
        };
        self.replies[self.authority.index()].replace(a);
        self.replies[self.authority.other().index()].replace(b);
        let (verdict, lacks) = (self.verdict(), self.lacks());
        let mut counters = self.shard.counters();
        let compare = &mut counters.numbers.compare;
        match verdict {
            Verdict::Equal => compare.equal += 1,
            Verdict::NotComparable => compare.skipped += 1,
            Verdict::Different if lacks => compare.missing += 1,
            Verdict::Different if self.blurred() => compare.skipped += 1,
            Verdict::Different => {
                compare.different += 1;
                let [ours, other] = [self.authority, self.authority.other()];
                let only_other =
                    self.errors[other.index()].get() && !self.errors[ours.index()].get();
                compare.secondary_errors += u64::from(only_other);
                let (ours, other) = self.pair();
                let protocol = &self.shard.protocol;
                let sample = DifferenceSample {
                    class: protocol.classes().get(usize::from(self.class)).copied().unwrap_or(""),
                    key: self.keys.first().cloned(),
                    authority: protocol.mask(&ours),
                    secondary: protocol.mask(&other),
                };
                // A uniform sample of all differences so far.
                let seen = compare.different;
                if compare.samples.len() < SAMPLES_MAX {
                    compare.samples.push(sample);
                } else if let Some(slot) =
                    compare.samples.get_mut((self.shard.random() % seen) as usize)
                {
                    *slot = sample;
                }
            }
        }
        drop(counters);
        self.shard.comparison_over();
    }

    async fn ask(&self, side: Side) -> Result<Vec<u8>, Failure> {
        let lane = self.shard.shared_lane(side, &self.identity).ok_or(Failure::Unreachable)?;
        lane.ask(&self.request, self.expect).await.unwrap_or(Err(Failure::Broken))
    }
}
