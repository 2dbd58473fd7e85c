//! What the two sides of one migration have to know of each other.
//!
//! Everything else treats a side by itself. Here is only: how to reach the other one (a key too
//! big for one message is pulled by its writer), what a side was found to accept of the other's
//! payloads, and whether both tell expiries exactly.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use model::Side;
use parking_lot::Mutex;

use crate::conn::Link;
use crate::image::payload::Stamp;

/// How payloads of one kind get to a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// `RESTORE` of the bytes as they are.
    AsIs,
    /// `RESTORE` with the version lowered.
    Lowered,
    /// `RESTORE` of an older encoding.
    Older,
    /// Element by element into a scratch key, then `RENAME`.
    Elements,
}

impl Route {
    /// What to try when this one was refused.
    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::AsIs => Some(Self::Lowered),
            Self::Lowered => Some(Self::Older),
            Self::Older => Some(Self::Elements),
            Self::Elements => None,
        }
    }
}

/// Shared by the databases of one migration within this process.
pub(crate) struct Pairing {
    /// Values above this many bytes in a server's memory are copied by elements.
    big_bytes: u64,
    /// Every database opened for a side; the newest that still lives counts.
    links: Mutex<[Vec<Weak<Link>>; 2]>,
    /// Learnt from refusals; bounded by versions × type bytes that exist.
    routes: Mutex<HashMap<(Side, Stamp), Route>>,
    /// Sides that cannot tell an expiry exactly.
    inexact: Mutex<[bool; 2]>,
}

impl Pairing {
    pub(crate) fn new(big_bytes: u64) -> Self {
        Self {
            big_bytes,
            links: Mutex::default(),
            routes: Mutex::default(),
            inexact: Mutex::default(),
        }
    }

    pub(crate) fn big_bytes(&self) -> u64 {
        self.big_bytes
    }

    pub(crate) fn join(&self, link: &Arc<Link>) {
        let mut links = self.links.lock();
        let known = &mut links[link.side().index()];
        known.retain(|known| known.strong_count() > 0);
        known.push(Arc::downgrade(link));
        drop(links);
        // Another server may have taken this side's place.
        self.routes.lock().clear();
    }

    /// The other side, if it was opened too.
    pub(crate) fn other_than(&self, side: Side) -> Option<Arc<Link>> {
        self.links.lock()[side.other().index()].iter().rev().find_map(Weak::upgrade)
    }

    /// How payloads of this stamp get to `to`, as far as known.
    pub(crate) fn route(&self, to: Side, stamp: Stamp) -> Route {
        self.routes.lock().get(&(to, stamp)).copied().unwrap_or(Route::AsIs)
    }

    /// Notes that `route` worked where the ones before it were refused.
    pub(crate) fn learn(&self, to: Side, stamp: Stamp, route: Route) {
        self.routes.lock().insert((to, stamp), route);
    }

    /// Notes whether a side tells expiries to the millisecond.
    pub(crate) fn note_expiry(&self, side: Side, exact: bool) {
        self.inexact.lock()[side.index()] = !exact;
    }

    /// Whether every side seen so far does.
    pub(crate) fn expiry_is_exact(&self) -> bool {
        !self.inexact.lock().contains(&true)
    }
}
