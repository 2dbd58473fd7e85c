//! What a lane does with what it reads: each reply to whom it is owed, in order.
//!
//! A plain reply goes from the read buffer straight to the client's socket; neighbouring replies
//! of one client in one write. A reply is collected first only where somebody has to see it
//! whole: an inspected one, one that waits for the secondary, one of ours.

use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use family::{Frame, Malformed, Of, Protocol, Session, Settles, Upstream};
use journal::{Outcome, Ticket};

use super::client::Client;
use super::lane::{Failure, Lane, Owed, Sink};

/// What is being done with the reply at the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// Passed on as it comes.
    #[default]
    Forward,
    /// Kept until it is whole.
    Collect,
    /// Passed on as it comes but for what promises the client that its changes are made.
    Guard,
    /// Not wanted.
    Drop,
}

/// Neighbouring bytes of the read buffer that go to one client.
struct Run<P: Protocol> {
    client: Rc<Client<P>>,
    bytes: Range<usize>,
}

impl<P: Protocol> Lane<P> {
    /// Hands out what is understood of `data`. Returns how many bytes that were.
    pub(crate) fn replies(
        self: &Rc<Self>,
        upstream: &mut P::Upstream,
        data: &[u8],
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        let mut run: Option<Run<P>> = None;
        let end = loop {
            let head = self.owed.borrow().front().map(|o| o.expect);
            let frame = match upstream.frame(&data[at..], head) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(at),
                Err(e) => break Err(e),
            };
            let bytes = at..at + frame.len;
            at = bytes.end;
            match frame.of {
                Of::Nobody => {}
                Of::Notice => {
                    if frame.tells {
                        self.tell_owner(&data[bytes.clone()]);
                    }
                    self.flush(data, &mut run);
                    if let Err(e) = self.notice(&data[bytes], frame) {
                        break Err(e);
                    }
                }
                Of::Reply => self.reply(data, bytes, frame, &mut run),
            }
        };
        self.flush(data, &mut run);
        self.shard.settled();
        end
    }

    fn flush(self: &Rc<Self>, data: &[u8], run: &mut Option<Run<P>>) {
        if let Some(Run { client, bytes }) = run.take() {
            client.deliver(&data[bytes]);
            // Only the middle of a large reply is worth waiting for, and only for so long.
            if self.begun.get() && client.congested() && !client.impatient.get() {
                client.stalling(self);
                *self.stalled.borrow_mut() = Some((client, self.shard.now.get()));
            }
        }
    }

    /// A message that answers nothing and that the owner's session has to see.
    fn tell_owner(&self, message: &[u8]) {
        let owner = self.owner.as_ref().and_then(std::rc::Weak::upgrade);
        if let Some(client) = owner.filter(|c| c.listens_to(self)) {
            client.session.borrow_mut().told(message, false);
        }
    }

    /// A message that answers nothing: for the owner of the connection.
    fn notice(&self, bytes: &[u8], frame: Frame) -> Result<(), Malformed> {
        match &self.owner {
            Some(owner) => {
                if let Some(client) = owner.upgrade().filter(|c| c.listens_to(self)) {
                    client.deliver(bytes);
                }
                Ok(())
            }
            None if frame.error => Err(Malformed("error without a request")),
            None => Ok(()),
        }
    }

    fn reply(
        self: &Rc<Self>,
        data: &[u8],
        bytes: Range<usize>,
        frame: Frame,
        run: &mut Option<Run<P>>,
    ) {
        // A reply may be several messages; the first decides what is done with all of them.
        let start = !self.begun.replace(true);
        if start {
            self.begin(&data[bytes.clone()], frame);
        } else if frame.error {
            self.error.set(true);
        }
        if frame.tells
            && let Some(client) = self.head_client()
        {
            client.session.borrow_mut().told(&data[bytes.clone()], frame.end);
        }
        match self.mode.get() {
            Mode::Drop => {}
            Mode::Collect => {
                let mut partial = self.partial.borrow_mut();
                if !(start && frame.end) {
                    partial.extend_from_slice(&data[bytes.clone()]);
                }
                if partial.len() > self.shard.limits().client_out_bytes_max {
                    *partial = Vec::new();
                    self.mode.set(Mode::Drop);
                    drop(partial);
                    if let Some(client) = self.head_client() {
                        client.overflow();
                    }
                }
            }
            Mode::Guard if frame.tail => {
                self.partial.borrow_mut().extend_from_slice(&data[bytes.clone()])
            }
            Mode::Guard => {
                // What came before was not the end: it promised nothing that is not taken back
                // by an error, and is not waited for.
                let tail = self.partial.take();
                if !tail.is_empty() {
                    self.flush(data, run);
                    if let Some(client) = self.head_client() {
                        client.deliver(&tail);
                    }
                }
                self.forward(data, bytes.clone(), run);
            }
            Mode::Forward => self.forward(data, bytes.clone(), run),
        }
        if let Some(comparison) = self.owed.borrow().front().and_then(|o| o.comparison.clone()) {
            comparison.feed(self.side, &data[bytes.clone()]);
        }
        self.begun.set(!frame.end);
        if !frame.end {
            return;
        }
        let Some(owed) = self.owed.borrow_mut().pop_front() else { return };
        let whole = start && frame.end;
        if self.mode.get() == Mode::Guard {
            self.flush(data, run);
            let tail = self.partial.take();
            if let Sink::Client(client) = &owed.sink {
                match frame.open {
                    true => client.deliver(&tail),
                    false => client.gate_log(tail, self.side),
                }
            }
            self.finish(owed, None);
        } else if self.mode.get() == Mode::Collect {
            self.flush(data, run);
            let partial = self.partial.take();
            let reply = if whole { &data[bytes.clone()] } else { &partial[..] };
            self.finish(owed, Some(reply));
        } else {
            self.finish(owed, None);
        }
    }

    /// Passes bytes on to the client at the head, neighbours in one write.
    fn forward(self: &Rc<Self>, data: &[u8], bytes: Range<usize>, run: &mut Option<Run<P>>) {
        match run {
            Some(run) if self.is_head(&run.client) && run.bytes.end == bytes.start => {
                run.bytes.end = bytes.end;
            }
            _ => {
                self.flush(data, run);
                if let Some(client) = self.head_client() {
                    *run = Some(Run { client, bytes });
                }
            }
        }
    }

    fn is_head(&self, client: &Rc<Client<P>>) -> bool {
        let owed = self.owed.borrow();
        matches!(owed.front(), Some(Owed { sink: Sink::Client(c), .. }) if Rc::ptr_eq(c, client))
    }

    fn head_client(&self) -> Option<Rc<Client<P>>> {
        match self.owed.borrow().front() {
            Some(Owed { sink: Sink::Client(client), .. }) => Some(Rc::clone(client)),
            _ => None,
        }
    }

    /// The first part of a reply: what is to be done with it, and what it says about a write.
    fn begin(&self, bytes: &[u8], frame: Frame) {
        let owed = self.owed.borrow();
        let Some(head) = owed.front() else { return };
        self.error.set(frame.error);
        self.mode.set(match &head.sink {
            Sink::Client(client) => {
                if head.ticket.is_some() {
                    self.settles.set(client.session.borrow().settles(head.class, bytes));
                }
                let log = self.shard.shared.horizon.is_some();
                if head.flags.inspect || client.is_unblocked() || head.flags.gate && !log {
                    Mode::Collect
                } else if head.flags.gate {
                    Mode::Guard
                } else if head.flags.suppress {
                    Mode::Drop
                } else {
                    Mode::Forward
                }
            }
            Sink::Comparison => Mode::Drop,
            Sink::Restore(_) | Sink::Answer(_) => Mode::Collect,
        });
    }

    /// A reply is complete.
    fn finish(self: &Rc<Self>, owed: Owed<P>, reply: Option<&[u8]>) {
        let now = self.shard.now.get();
        let Owed { sink, class, flags, received, sent, ticket, comparison, .. } = owed;
        let error = self.error.get();
        match sink {
            Sink::Client(client) => {
                self.count(class, flags, now, received, sent, error);
                let outcome = match self.settles.get() {
                    Settles::Applied => Outcome::Applied,
                    Settles::Nothing => Outcome::Nothing,
                };
                let settlement = ticket.map(|ticket| self.shard.settle_one(*ticket, outcome));
                if flags.write {
                    self.shard.write_done();
                }
                let settlement = settlement.filter(|s| flags.gate && !s.is_empty());
                if self.side == self.shard.shared.table_cell().load().authority.default {
                    client.told.set(Some(now));
                }
                client.answered(class, flags, reply, settlement);
            }
            Sink::Comparison => {}
            Sink::Restore(restore) => restore.one(reply.unwrap_or_default(), error),
            Sink::Answer(sender) => {
                if let Some(sender) = sender {
                    let _ = sender.send(Ok(reply.unwrap_or_default().to_vec()));
                }
            }
        }
        if let Some(comparison) = comparison {
            comparison.complete(self.side, error);
        }
    }

    fn count(
        &self,
        class: u16,
        flags: super::lane::Flags,
        now: Instant,
        received: Instant,
        sent: Instant,
        error: bool,
    ) {
        let mut counters = self.shard.counters();
        let upstream = now.saturating_duration_since(sent);
        let request = now.saturating_duration_since(received);
        counters.answered(class, upstream, request, error);
        let side = counters.side(self.side);
        side.reads_served += u64::from(flags.read);
        side.writes_served += u64::from(flags.write);
        side.errors += u64::from(error);
        counters.numbers.errors.server += u64::from(error);
    }

    /// Whether this lane may not read now because a client does not take its replies.
    pub(crate) fn held_back(&self) -> bool {
        let mut stalled = self.stalled.borrow_mut();
        let Some((client, since)) = &*stalled else { return false };
        let others = self
            .owed
            .borrow()
            .iter()
            .any(|o| !matches!(&o.sink, Sink::Client(other) if Rc::ptr_eq(other, client)));
        let patience = if others { self.shard.limits().stall_max } else { Duration::MAX };
        let drained = client.drained();
        if !drained && since.elapsed() < patience {
            return true;
        }
        // Until it has caught up nobody waits for this client again.
        client.impatient.set(!drained);
        *stalled = None;
        false
    }

    pub(crate) fn idle(&self) -> bool {
        self.owed.borrow().is_empty()
    }

    /// The lane is over: everybody who is owed a reply is told what is known.
    pub(crate) fn fail(self: &Rc<Self>, failure: &Failure) {
        self.state.set(super::lane::State::Dead);
        self.thin_out();
        *self.stalled.borrow_mut() = None;
        // The head's reply may have been passed on in part.
        let cut = matches!(self.mode.get(), Mode::Forward | Mode::Guard) && self.begun.get();
        let owed = self.owed.take();
        let mut unknown = Vec::new();
        for (index, owed) in owed.into_iter().enumerate() {
            self.fail_one(owed, failure, cut && index == 0, &mut unknown);
        }
        if !unknown.is_empty() {
            self.shard.prove_dead(self, unknown);
        }
    }

    fn fail_one(
        self: &Rc<Self>,
        owed: Owed<P>,
        failure: &Failure,
        cut: bool,
        unknown: &mut Vec<Option<Ticket>>,
    ) {
        if let Some(comparison) = &owed.comparison {
            comparison.give_up();
        }
        match owed.sink {
            Sink::Client(client) => {
                let ticket = owed.ticket.map(|t| *t);
                if owed.flags.write && *failure == Failure::Broken {
                    // It may run yet: the connection has to be proved dead first.
                    unknown.push(ticket);
                } else if owed.flags.write {
                    if let Some(ticket) = ticket {
                        self.shard.settle(ticket, Outcome::Nothing);
                    }
                    self.shard.write_done();
                }
                let copy = owed.copy.filter(|_| !cut).map(|raw| (raw, owed.expect));
                client.failed(owed.class, owed.flags, copy, failure);
            }
            Sink::Comparison => {}
            Sink::Restore(restore) => restore.one(&[], true),
            Sink::Answer(sender) => {
                if let Some(sender) = sender {
                    let _ = sender.send(Err(failure.clone()));
                }
            }
        }
    }
}

impl super::lane::Restore {
    /// One of the replies has come.
    fn one(&self, reply: &[u8], error: bool) {
        self.replies.borrow_mut().extend_from_slice(reply);
        self.failed.set(self.failed.get() | error);
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.done.notify_one();
        }
    }
}
