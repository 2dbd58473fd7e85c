//! The road of whole transactions: one direction from one cluster to another.
//!
//! Constraints: a slot is made before anything is copied; progress is written in the transaction
//! that it speaks of; the slot is told only what is durable on the other side; our own
//! transactions are told by what they say (`exodus-applied:<run>`), never by where they came from;
//! which changes a copied chunk holds is judged by its snapshot, never by an offset.
//!
//! Layout, from the stream to the other side: `assemble` makes transactions of messages
//! (`relation`, `change`), `judge` says which changes are not there yet (`desk`, `shelf`,
//! `snapshot`, `order`), `target` says them as SQL, `applier` in pipelines, `runs` by COPY and
//! `careful` one by one; `stream` and `apply` are the loop around them. `fill` copies chunks and
//! `split` cuts tables (`table`,
//! `keytext`); `capture`, `prepare`, `ours` make and check what has to be there; `direction` is
//! the port.
//!
//! Known limits: a transaction is read only after its commit (no in-progress streaming), and
//! applied by one session (no parallel apply). A table without a key is copied as one chunk, and
//! the stream waits for it; without the option `identity_full` its updates and deletes are not
//! followed at all. DDL is not carried: a new column is refused when the first row with it comes,
//! a new table is not published. A deferrable unique constraint is not checked for what is
//! applied. Followed servers are version 14 or later: older ones do not tell the messages by which
//! our own transactions are known.

mod applier;
mod apply;
mod assemble;
mod capture;
mod careful;
mod change;
mod code;
mod desk;
mod direction;
mod fill;
mod judge;
mod keytext;
pub(crate) mod names;
mod order;
mod ours;
mod prepare;
mod relation;
mod runs;
mod shared;
mod shelf;
mod snapshot;
mod source;
mod split;
mod stream;
mod table;
mod target;

use std::sync::Arc;

use family::{EndpointSpec, Follow, FollowSpec, PortError};

use crate::conn::{Abandoned, Link};
pub(crate) use direction::Direction;

/// One direction between two endpoints. Touches nothing yet.
///
/// # Errors
/// When an address, a tag or a certificate cannot be used.
pub fn direction(
    from: &EndpointSpec,
    to: &EndpointSpec,
    spec: FollowSpec,
) -> Result<Arc<dyn Follow>, PortError> {
    let link = |spec| Link::new(spec, Arc::new(Abandoned::default()));
    Ok(Arc::new(Direction::new(link(from)?, link(to)?, spec)))
}
