//! What happens to a client when one of its requests has been answered, or never will be.

use std::borrow::Cow;
use std::rc::Rc;

use family::{Expect, Protocol, Refused, Replied, Session};
use journal::Settlement;

use super::client::{Blocked, Client, Wait};
use super::lane::{Failure, Flags, Lane};

impl<P: Protocol> Client<P> {
    /// A request is answered. `reply` is there when it was collected, `settlement` when the
    /// client is to be told only once the secondary has the change.
    pub(crate) fn answered(
        self: &Rc<Self>,
        class: u16,
        flags: Flags,
        reply: Option<&[u8]>,
        settlement: Option<Settlement>,
    ) {
        self.in_flight.set(self.in_flight.get() - 1);
        let blocked = if flags.blocking { self.blocked.take() } else { None };
        if let Some(reply) = reply {
            if let Some(blocked) = blocked.filter(|b| b.unblocked)
                && self.goes_again(blocked, reply)
            {
                return;
            }
            self.collected(class, flags, reply, settlement);
        }
        if flags.inspect || flags.blocking {
            self.resume(Wait::Reply);
        }
        self.less_in_flight();
    }

    fn collected(
        self: &Rc<Self>,
        class: u16,
        flags: Flags,
        reply: &[u8],
        settlement: Option<Settlement>,
    ) {
        let mut bytes = Cow::Borrowed(reply);
        let mut after = family::After::Continue;
        if flags.inspect {
            let mut out = Vec::new();
            match self.session.borrow_mut().replied(class, reply, &mut out) {
                Replied::Forward(then) => after = then,
                Replied::Replace(then) => {
                    after = then;
                    bytes = Cow::Owned(out);
                }
            }
        }
        if flags.suppress {
            bytes = Cow::Borrowed(&[]);
        }
        match settlement {
            Some(settlement) => self.gate(bytes.into_owned(), settlement),
            None if bytes.is_empty() => {}
            None => self.deliver(&bytes),
        }
        self.apply(after);
    }

    /// An unblocked request that got nothing is sent again, unless its own limit has passed.
    fn goes_again(self: &Rc<Self>, blocked: Blocked, reply: &[u8]) -> bool {
        let mut session = self.session.borrow_mut();
        if !session.gave_up(reply) {
            return false;
        }
        let waited = blocked.since.elapsed();
        let Some(raw) = session.again(blocked.request.class, &blocked.raw, waited) else {
            return false;
        };
        *self.again.borrow_mut() = Some(Blocked { raw, unblocked: false, ..blocked });
        drop(session);
        self.kick();
        true
    }

    pub(crate) fn less_in_flight(&self) {
        let left = self.in_flight.get();
        if left == 0 {
            *self.current.borrow_mut() = None;
            if self.gated.borrow().is_empty() {
                self.resume(Wait::Drained);
            }
            if self.wants_attention() {
                self.kick();
            }
        }
        if left <= self.shard.limits().client_pipeline_max / 2 && !self.congested() {
            self.resume(Wait::Room);
        }
    }

    /// A request will not be answered by its lane. `copy` is there when it may be asked again.
    pub(crate) fn failed(
        self: &Rc<Self>,
        class: u16,
        flags: Flags,
        copy: Option<(Box<[u8]>, Expect)>,
        failure: &Failure,
    ) {
        if let Some((raw, expect)) = copy.filter(|_| !self.dead.get())
            && self.shard.retry(self, class, flags, expect, &raw)
        {
            return;
        }
        self.in_flight.set(self.in_flight.get() - 1);
        self.blocked.take();
        match failure {
            Failure::Broken => self.lost(),
            Failure::Unreachable => {
                self.shard.counters().numbers.errors.unreachable += 1;
                let mut out = Vec::new();
                self.shard.protocol.error(&Refused::Unreachable.into(), &mut out);
                self.collected(class, flags, &out, None);
            }
            Failure::Refused(words) => self.collected(class, flags, words, None),
        }
        self.resume(Wait::Reply);
        self.less_in_flight();
    }

    /// The client has not said in time who it is.
    pub(crate) fn overdue(&self) {
        self.closing.set(true);
        self.dead.set(self.in_flight.get() == 0);
        self.kick();
    }

    /// The server connection broke with a request on it: the client learns it the way it would
    /// without us.
    pub(crate) fn lost(&self) {
        if !self.closing.replace(true) && !self.dead.get() {
            self.shard.counters().numbers.errors.lost += 1;
        }
        self.kick();
    }
}

/// Ties a lane to what it has to tell of itself when it ends.
pub(crate) fn describe<P: Protocol>(lane: &Lane<P>) -> String {
    let kind = if lane.is_own() { "own" } else { "shared" };
    format!("{kind} connection {:?} to the {}", lane.connection.get(), lane.side)
}
