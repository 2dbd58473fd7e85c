//! Which connection to a server carries a request.

use std::rc::Rc;

use family::{Place, Protocol, Refused, Request, Session};
use model::Side;

use super::super::Shard;
use super::super::client::Client;
use super::super::lane::Lane;

impl<P: Protocol> Shard<P> {
    /// The connection a request takes. `Err(None)`: not yet, the client waits.
    pub(super) fn lane_for(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        request: &Request,
        side: Side,
    ) -> Result<Rc<Lane<P>>, Option<Refused>> {
        let lane = self.choose_lane(client, request, side)?;
        // Replies come in order only from one connection at a time.
        let same = client.current.borrow().as_ref().is_none_or(|c| Rc::ptr_eq(c, &lane));
        if same || client.quiescent() { Ok(lane) } else { Err(None) }
    }

    pub(super) fn choose_lane(
        self: &Rc<Self>,
        client: &Rc<Client<P>>,
        request: &Request,
        side: Side,
    ) -> Result<Rc<Lane<P>>, Option<Refused>> {
        if request.place == Place::Control {
            self.must_be_quiescent(client)?;
            return self.control_lane(side).ok_or(Some(Refused::Unreachable));
        }
        let own = client.own.borrow().clone();
        if request.place == Place::Shared && own.is_none() {
            return self.cached_lane(client, side).ok_or(Some(Refused::Unreachable));
        }
        let encumbered = client.session.borrow().encumbered();
        let elsewhere = own.as_ref().is_some_and(|own| own.side != side);
        if elsewhere && encumbered && request.follower && request.place == Place::Own {
            // What it carries does not matter to this read.
            let lane = self.shared_lane(side, client.session.borrow().reader());
            return lane.ok_or(Some(Refused::Unreachable));
        }
        if let Some(own) = own {
            let usable = own.usable() && self.is_current(&own);
            let fits = usable && own.side == side;
            if fits && request.place != Place::Candidate {
                return Ok(own);
            }
            if !fits && encumbered {
                // The state on it has to come along, or is lost with it.
                if client.quiescent() {
                    match own.usable() {
                        true => self.move_soon(client),
                        false => client.lost(),
                    }
                }
                return Err(None);
            }
            if !fits && (request.place == Place::Own || !usable) {
                self.must_be_quiescent(client)?;
                self.release(client);
            }
        } else if encumbered {
            match client.session.borrow().carried() {
                true if client.quiescent() => self.move_soon(client),
                true => {}
                false => client.lost(),
            }
            return Err(None);
        }
        let lane = match request.place {
            Place::Own => {
                self.must_be_quiescent(client)?;
                self.own_lane(client, side)
            }
            Place::Candidate => {
                self.must_be_quiescent(client)?;
                self.shared_lane(side, client.session.borrow().candidate())
            }
            Place::Shared | Place::Control => self.cached_lane(client, side),
        };
        lane.ok_or(Some(Refused::Unreachable))
    }

    pub(super) fn must_be_quiescent(&self, client: &Client<P>) -> Result<(), Option<Refused>> {
        if client.quiescent() { Ok(()) } else { Err(None) }
    }

    pub(super) fn cached_lane(
        self: &Rc<Self>,
        client: &Client<P>,
        side: Side,
    ) -> Option<Rc<Lane<P>>> {
        let session = client.session.borrow();
        let mut cached = client.lanes.borrow_mut();
        if client.lanes_version.replace(session.version()) != session.version() {
            *cached = [None, None];
        }
        let slot = &mut cached[side.index()];
        if let Some(lane) = slot.as_ref().filter(|l| l.usable() && self.is_current(l)) {
            return Some(Rc::clone(lane));
        }
        *slot = self.shared_lane(side, session.identity());
        slot.clone()
    }
}
