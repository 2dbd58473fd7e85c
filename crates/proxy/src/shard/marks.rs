//! Where the log of a side stands behind an acknowledged write: one question for every write
//! that was acknowledged before it was asked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use family::Protocol;
use model::Side;
use tokio::sync::oneshot;

use super::Shard;

/// Who waits for an offset of each side's log.
#[derive(Default)]
pub(crate) struct Marks {
    waiting: [RefCell<Vec<oneshot::Sender<u64>>>; 2],
    asking: [Cell<bool>; 2],
}

impl<P: Protocol> Shard<P> {
    /// An offset of the side's log behind everything it has acknowledged so far. The sender is
    /// dropped when the side cannot be asked.
    pub(crate) fn mark(self: &Rc<Self>, side: Side) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        self.marks.waiting[side.index()].borrow_mut().push(sender);
        if !self.marks.asking[side.index()].replace(true) {
            tokio::task::spawn_local(answer(Rc::clone(self), side));
        }
        receiver
    }
}

async fn answer<P: Protocol>(shard: Rc<Shard<P>>, side: Side) {
    loop {
        let waiting = shard.marks.waiting[side.index()].take();
        if waiting.is_empty() {
            shard.marks.asking[side.index()].set(false);
            return;
        }
        let Some(offset) = ask(&shard, side).await else { continue };
        for one in waiting {
            // Gone when its client is.
            let _ = one.send(offset);
        }
    }
}

async fn ask<P: Protocol>(shard: &Rc<Shard<P>>, side: Side) -> Option<u64> {
    let mut raw = Vec::new();
    let expect = shard.protocol.offset(&mut raw)?;
    let answer = shard.control_lane(side)?.ask(&raw, expect).await.ok()?.ok()?;
    let offset = shard.protocol.offset_of(&answer);
    if offset.is_none() {
        tracing::warn!(%side, code = "EXO-PXY-011", "the server does not say where its log stands");
    }
    offset
}
