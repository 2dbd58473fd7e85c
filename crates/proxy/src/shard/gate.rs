//! `both_required`: a write's reply waits until the secondary has the change, for at most
//! `target_timeout`. After the first timeout nobody waits until the secondary is in step again.
//!
//! What is waited for is the records it touched, where the journal knows them, or that the log of
//! the authority is on the secondary up to where it stood after the reply.

use std::rc::Rc;
use std::time::Duration;

use family::Protocol;
use journal::Settlement;
use model::Side;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::{Client, Wait};

/// A reply that waits, and everything that has to come behind it.
pub(crate) struct Gated {
    pub(crate) bytes: Vec<u8>,
    wanted: Wanted,
    until: Instant,
}

/// What has to be on the secondary first.
pub(crate) enum Wanted {
    Records(Settlement),
    /// A side's log, up to an offset that is being asked for.
    Log(Side, oneshot::Receiver<u64>),
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Records(Settlement::default())
    }
}

impl<P: Protocol> Client<P> {
    /// Holds a reply back until its change is on the secondary.
    pub(crate) fn gate(self: &Rc<Self>, bytes: Vec<u8>, settlement: Settlement) {
        if self.shard.shared.degraded() {
            return self.deliver(&bytes);
        }
        self.hold_back(bytes, Wanted::Records(settlement));
    }

    /// Holds the end of a reply back until what this side acknowledged is on the other.
    pub(crate) fn gate_log(self: &Rc<Self>, bytes: Vec<u8>, side: Side) {
        if self.shard.shared.degraded() {
            return self.deliver(&bytes);
        }
        let mark = self.shard.mark(side);
        self.hold_back(bytes, Wanted::Log(side, mark));
    }

    fn hold_back(self: &Rc<Self>, bytes: Vec<u8>, wanted: Wanted) {
        let table = self.shard.shared.table();
        let until = Instant::now() + Duration::from_millis(table.target_timeout_ms.into());
        let mut gated = self.gated.borrow_mut();
        gated.push_back(Gated { bytes, wanted, until });
        if gated.len() == 1 {
            tokio::task::spawn_local(release(Rc::clone(self)));
        }
    }

    /// Writes what was held back.
    fn release(&self, ready: &mut Vec<u8>) {
        if !ready.is_empty() {
            self.transmit(ready);
            ready.clear();
        }
    }
}

/// Releases gated replies in order until none is left; neighbours that are ready together go in
/// one write.
async fn release<P: Protocol>(client: Rc<Client<P>>) {
    let mut ready = Vec::new();
    loop {
        let next =
            client.gated.borrow_mut().front_mut().map(|g| (std::mem::take(&mut g.wanted), g.until));
        let Some((wanted, until)) = next else { break };
        if !client.shard.is_there(&wanted) {
            client.release(&mut ready);
            client.shard.there(wanted, until).await;
        }
        // Cleared when the client went away meanwhile.
        let Some(done) = client.gated.borrow_mut().pop_front() else { break };
        if ready.is_empty() {
            ready = done.bytes;
        } else {
            ready.extend_from_slice(&done.bytes);
        }
    }
    client.release(&mut ready);
    if client.in_flight.get() == 0 {
        client.resume(Wait::Drained);
    }
    if client.wants_attention() {
        client.kick();
    }
}
