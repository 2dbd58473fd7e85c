//! One request: who answers it, over which connection, noted or not.
//!
//! A shard is one thread, so between reading the table and handing the request to a lane
//! nothing else happens: what is counted as in flight when the shard looks at a barrier is
//! exactly what was sent under older tables.

mod lanes;

use std::rc::Rc;

use family::{Protocol, Refused, Request, Session};
use model::{Access, Key, Side, Tenant, Touches, WritePolicy};
use routing::{Facts, Freeze, Refusal, Route, RoutingTable, TenantSpan, route};

use super::Shard;
use super::client::{Blocked, Client, Noted, Wait};
use super::compare::Comparison;
use super::lane::{Flags, Owed, Sink};

/// Parts of which a fraction of requests is told: the table's per-myriad.
const SAMPLES: u64 = 10_000;

/// Where a request goes.
struct Plan {
    side: Side,
    capture: bool,
    compare: bool,
    keys: Vec<Key>,
    anything: bool,
    /// The secondary answers a read: it may have to be asked again.
    secondary: bool,
    gate: bool,
}

impl Plan {
    /// Forwarded, and nothing else.
    const fn plain(side: Side) -> Self {
        Self {
            side,
            capture: false,
            compare: false,
            keys: Vec::new(),
            anything: false,
            secondary: false,
            gate: false,
        }
    }
}

enum Decision {
    Go(Plan),
    Hold,
    Refuse(Refused),
}

impl<P: Protocol> Shard<P> {
    /// Sends the request at the front of a client's input. `false`: not yet, the client waits.
    pub(crate) fn request(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        request: &Request,
        rest: &[u8],
    ) -> bool {
        if request.rewritten {
            let raw = client.session.borrow().rewritten().to_vec();
            return self.send(client, request, &raw);
        }
        self.send(client, request, &rest[..request.len])
    }

    /// Sends a request again that had been unblocked.
    pub(crate) fn look_again(self: &Rc<Self>, client: &Rc<Client<P>>) {
        if client.wait.get() != Wait::Nothing && client.wait.get() != Wait::Reply {
            return;
        }
        let Some(blocked) = client.again.take() else { return };
        client.wait.set(Wait::Nothing);
        if !self.send(client, &blocked.request, &blocked.raw) {
            *client.again.borrow_mut() = Some(blocked);
        }
    }

    fn send(self: &Rc<Self>, client: &Rc<Client<P>>, request: &Request, raw: &[u8]) -> bool {
        let plan = {
            let table = self.shared.table_cell().load();
            self.decide(client, request, raw, &table)
        };
        let plan = match plan {
            Decision::Go(plan) => plan,
            Decision::Hold => return self.hold(client),
            Decision::Refuse(why) => return self.refuse(client, why),
        };
        let lane = match self.lane_for(client, request, plan.side) {
            Ok(lane) => lane,
            Err(None) => return false,
            Err(Some(why)) => return self.refuse(client, why),
        };
        if lane.crowded() {
            client.wait_for_lane(&lane);
            return false;
        }
        let ticket = if plan.capture {
            match self.note(client, &plan) {
                Ok(ticket) => Some(Box::new(ticket)),
                Err(Some(why)) => return self.refuse(client, why),
                Err(None) => return false,
            }
        } else {
            None
        };
        self.released(client);
        let flags = Flags {
            write: request.access == Access::Write,
            read: request.access == Access::Read,
            suppress: request.suppress,
            inspect: request.inspect,
            blocking: request.blocking,
            gate: plan.gate,
        };
        let comparison = plan.compare.then(|| self.compare(client, request, raw, &plan)).flatten();
        let now = self.now.get();
        client.in_flight.set(client.in_flight.get() + 1);
        if flags.write {
            self.writes.set(self.writes.get() + 1);
        }
        lane.push(
            raw,
            Owed {
                sink: Sink::Client(Rc::clone(client)),
                expect: request.expect,
                class: request.class,
                flags,
                received: now,
                sent: now,
                ticket,
                copy: plan.secondary.then(|| raw.into()),
                comparison,
            },
        );
        client.session.borrow_mut().sent(request, raw);
        if lane.is_own() {
            client.own_used.set(now);
        }
        {
            let mut current = client.current.borrow_mut();
            if !current.as_ref().is_some_and(|c| Rc::ptr_eq(c, &lane)) {
                *current = Some(lane);
            }
        }
        if request.blocking {
            let blocked =
                Blocked { request: *request, raw: raw.to_vec(), since: now, unblocked: false };
            *client.blocked.borrow_mut() = Some(blocked);
        }
        if request.blocking || request.inspect {
            client.wait.set(Wait::Reply);
        }
        self.count_request(client, request, plan.side, raw);
        true
    }

    /// Who answers. Plain forwarding needs to know nothing of the request but its access.
    fn decide(
        &self,
        client: &Client<P>,
        request: &Request,
        raw: &[u8],
        table: &RoutingTable,
    ) -> Decision {
        let split = table.reads.secondary_ready
            || table.compare.is_some()
            || !table.authority.moved.is_empty();
        let authority = table.authority.default;
        if let Some(side) = self.bound_to(client, request) {
            let kept = table.capture && table.writes == WritePolicy::BothRequired;
            let gate = kept && request.access == Access::Write;
            return Decision::Go(Plan { gate, ..Plan::plain(side) });
        }
        // It is on no connection, and none may be opened to a side that is being closed.
        if table.freeze == Freeze::Writes && client.session.borrow().carried() {
            return Decision::Hold;
        }
        if !table.capture && !split && table.freeze == Freeze::Open {
            return Decision::Go(Plan::plain(authority));
        }
        let matters = match request.access {
            Access::Read => split,
            Access::Write => table.capture || !table.authority.moved.is_empty(),
            _ => false,
        };
        let (touches, anything) = match matters {
            true => client.session.borrow().touches(request, raw),
            false => (Touches::Nothing, false),
        };
        let unsettled =
            request.access == Access::Read && split && self.unsettled(client, authority, &touches);
        let keys: Vec<Key>;
        let verdict = {
            self.refresh_facts(client);
            let attribute = client.attribute.borrow();
            let facts = Facts {
                access: request.access,
                cohort: client.cohort.get(),
                attribute: (!attribute.is_empty()).then_some(attribute.as_slice()),
                tenants: span(table, &touches),
                unsettled,
                secondary_healthy: request.follower && self.ready(authority.other(), client),
                lag_ms: self.lag_ms.get(),
                sample: match request.comparable && request.follower {
                    true => (self.random() % SAMPLES) as u16,
                    false => u16::MAX,
                },
            };
            route(table, &facts)
        };
        match verdict {
            Route::Hold => Decision::Hold,
            Route::Refuse(Refusal::NotKept) => Decision::Refuse(Refused::NotKept),
            Route::Refuse(Refusal::SpansTenants) => Decision::Refuse(Refused::SpansTenants),
            Route::To { side, capture, compare } => {
                keys = match touches {
                    Touches::Keys(touches) => touches.into_iter().map(|t| t.key).collect(),
                    _ => Vec::new(),
                };
                let kept = capture && table.writes != WritePolicy::BestEffort;
                Decision::Go(Plan {
                    side,
                    capture: kept
                        && (anything || !keys.is_empty())
                        && self.shared.journal.is_some(),
                    compare,
                    keys,
                    anything,
                    // While tenants differ in who decides, the other side may be their authority:
                    // a read is not asked of the default one in its place.
                    secondary: request.access == Access::Read
                        && side != authority
                        && table.authority.moved.is_empty(),
                    gate: kept
                        && request.access == Access::Write
                        && table.writes == WritePolicy::BothRequired,
                })
            }
        }
    }

    /// Where the client has to go on, because it is in the middle of something there.
    fn bound_to(&self, client: &Client<P>, request: &Request) -> Option<Side> {
        let bound = request.access != Access::Refused && client.session.borrow().bound();
        let own = client.own.borrow();
        own.as_ref().filter(|_| bound).map(|own| own.side)
    }

    /// Whether the secondary may lack what this read has to see: what was written to the records
    /// it touches, or, where the log is followed, anything this client was told of.
    fn unsettled(&self, client: &Client<P>, authority: Side, touches: &Touches) -> bool {
        if let Some(horizon) = &self.shared.horizon {
            return client.told.get().is_some_and(|at| !horizon.is_settled(authority, at));
        }
        let Some(journal) = &self.shared.journal else { return false };
        match touches {
            Touches::Nothing => false,
            Touches::Keys(keys) => keys.iter().any(|t| journal.unsettled(&t.key)),
            Touches::Dataset(_) | Touches::Anything => true,
        }
    }

    /// Whether the side answers now. Warms a lane to it, so that it will.
    fn ready(&self, side: Side, client: &Client<P>) -> bool {
        let table_wants = self.shared.endpoint(side).is_some();
        table_wants && {
            let session = client.session.borrow();
            self.open_lane(side, session.reader())
        }
    }

    /// The request at the front waits for the next table.
    fn hold(&self, client: &Client<P>) -> bool {
        // The answers that are still to come may put the request inside of something that has
        // to go on.
        if !client.quiescent() {
            return false;
        }
        if let Some(Noted::Marked(ticket)) = client.noted.take() {
            self.settle(ticket, journal::Outcome::Nothing);
        }
        let since = match client.held_since.get() {
            Some(since) => since,
            None => {
                let now = std::time::Instant::now();
                client.held_since.set(Some(now));
                self.counters().numbers.holds += 1;
                now
            }
        };
        if since.elapsed() >= self.limits().hold_max {
            self.counters().numbers.errors.held_too_long += 1;
            return self.refuse(client, Refused::HeldTooLong);
        }
        client.wait.set(Wait::Table);
        false
    }

    /// A request is not held any more.
    fn released(&self, client: &Client<P>) {
        if let Some(since) = client.held_since.take() {
            let mut counters = self.counters();
            let longest = &mut counters.numbers.hold_max;
            *longest = (*longest).max(since.elapsed());
        }
    }

    /// Answers the request at the front with an error, in its turn. `true`: it is done with.
    fn refuse(&self, client: &Client<P>, why: Refused) -> bool {
        if !client.quiescent() {
            return false;
        }
        self.released(client);
        {
            let mut counters = self.counters();
            let errors = &mut counters.numbers.errors;
            match why {
                Refused::NotKept | Refused::SpansTenants => errors.refused += 1,
                Refused::Unreachable => errors.unreachable += 1,
                Refused::Overloaded | Refused::NotNoted => errors.overloaded += 1,
                _ => {}
            }
        }
        client.say(|session, out| session.refuse(&why.into(), out));
        true
    }

    /// Notes a write. `Err(None)`: its marker is being stored, the client waits.
    fn note(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        plan: &Plan,
    ) -> Result<journal::Ticket, Option<Refused>> {
        match client.noted.take() {
            Some(Noted::Marked(ticket)) => return Ok(ticket),
            Some(Noted::Failed) => return Err(Some(Refused::NotNoted)),
            None => {}
        }
        let Some(journal) = self.shared.journal.clone() else { return Err(None) };
        let (ticket, marked) = journal.begin(plan.keys.clone(), plan.anything);
        if marked {
            return Ok(ticket);
        }
        client.wait.set(Wait::Marker);
        let client = Rc::clone(client);
        tokio::task::spawn_local(async move {
            let marked = journal.marked(&ticket).await;
            let noted = if marked { Noted::Marked(ticket) } else { Noted::Failed };
            if !client.dead.get() {
                *client.noted.borrow_mut() = Some(noted);
            }
            client.resume(Wait::Marker);
        });
        Err(None)
    }

    /// Asks the authority what the secondary could not answer. `false` if that cannot be done.
    pub(crate) fn retry(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        class: u16,
        flags: Flags,
        expect: family::Expect,
        raw: &[u8],
    ) -> bool {
        let side = self.shared.table_cell().load().authority.default;
        let own = client.own.borrow().clone();
        let lane = match own.filter(|own| own.side == side && own.usable()) {
            Some(own) => Some(own),
            None => self.shared_lane(side, client.session.borrow().reader()),
        };
        let Some(lane) = lane.filter(|l| !l.crowded()) else { return false };
        self.counters().numbers.reads_retried += 1;
        let now = self.now.get();
        lane.push(
            raw,
            Owed {
                sink: Sink::Client(Rc::clone(client)),
                expect,
                class,
                flags,
                received: now,
                sent: now,
                ticket: None,
                copy: None,
                comparison: None,
            },
        );
        *client.current.borrow_mut() = Some(lane);
        true
    }

    fn compare(
        self: &Rc<Self>,
        client: &Client<P>,
        request: &Request,
        raw: &[u8],
        plan: &Plan,
    ) -> Option<Rc<Comparison<P>>> {
        let other = plan.side.other();
        if !self.begin_comparison() {
            self.counters().numbers.compare.skipped += 1;
            return None;
        }
        let identity = client.session.borrow().reader().clone();
        let keys = plan.keys.clone();
        let complete = self.shared.table_cell().load().reads.secondary_ready;
        let comparison =
            Comparison::new(self, identity.clone(), plan.side, request, raw, keys, complete);
        let Some(lane) = self.shared_lane(other, &identity).filter(|l| !l.crowded()) else {
            self.comparison_over();
            self.counters().numbers.compare.skipped += 1;
            return None;
        };
        let now = self.now.get();
        lane.push(
            raw,
            Owed {
                sink: Sink::Comparison,
                expect: request.expect,
                class: request.class,
                flags: Flags::default(),
                received: now,
                sent: now,
                ticket: None,
                copy: None,
                comparison: Some(Rc::clone(&comparison)),
            },
        );
        Some(comparison)
    }

    fn count_request(&self, client: &Client<P>, request: &Request, side: Side, raw: &[u8]) {
        let first = {
            let mut used = client.classes_used.borrow_mut();
            let (word, bit) = (usize::from(request.class / 64), request.class % 64);
            used.get_mut(word).is_some_and(|w| {
                let new = *w & (1 << bit) == 0;
                *w |= 1 << bit;
                new
            })
        };
        client.last.set(Some((request.class, self.now.get())));
        let sampled = self.sampled();
        let shape = sampled.then(|| client.session.borrow().fingerprint(request, raw));
        let mut counters = self.counters();
        let requests = &mut counters.numbers.requests;
        match request.access {
            Access::Read => {
                requests.reads += 1;
                counters.side(side).reads_routed += 1;
            }
            Access::Write => requests.writes += 1,
            _ => requests.other += 1,
        }
        counters.asked(request.class, raw.len(), first);
        if let Some(shape) = shape {
            counters.seen(shape, self.now.get());
        }
    }
}

/// Which tenants the records belong to.
fn span<'a>(table: &RoutingTable, touches: &'a Touches) -> TenantSpan<'a> {
    if table.authority.moved.is_empty() {
        return TenantSpan::None;
    }
    let keys = match touches {
        Touches::Nothing => return TenantSpan::None,
        Touches::Dataset(_) | Touches::Anything => return TenantSpan::Mixed,
        Touches::Keys(keys) => keys,
    };
    let tenants: Vec<Option<&Tenant>> = keys.iter().map(|k| k.tenant.as_ref()).collect();
    match tenants.as_slice() {
        [] => TenantSpan::None,
        [Some(tenant)] => TenantSpan::One(tenant),
        [first, rest @ ..] => {
            let side = table.authority.of(*first);
            match rest.iter().all(|t| table.authority.of(*t) == side) {
                true => TenantSpan::Same(side),
                false => TenantSpan::Mixed,
            }
        }
    }
}
