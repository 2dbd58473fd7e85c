//! What a client is owed: its output, bounded, and what happens when it does not read.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use family::Protocol;

use super::super::lane::Lane;
use super::super::stream::{Stream, poll_write};
use super::{CONGESTED_BYTES, Client, KEEP_BYTES, Wait};

impl<P: Protocol> Client<P> {
    /// Bytes for the client, behind everything it was sent before.
    pub(crate) fn deliver(&self, bytes: &[u8]) {
        if self.dead.get() {
            return;
        }
        if let Some(last) = self.gated.borrow_mut().back_mut() {
            last.bytes.extend_from_slice(bytes);
            return;
        }
        self.transmit(bytes);
    }

    /// Writes at once what the socket takes and keeps the rest.
    pub(crate) fn transmit(&self, bytes: &[u8]) {
        let mut out = self.out.borrow_mut();
        let mut sent = 0;
        if let Some(write) = self.write.as_ref().filter(|_| out.is_empty()) {
            match write.try_write(bytes) {
                Ok(n) => sent = n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.dead.set(true),
            }
        }
        self.shard.counters().numbers.bytes_out += bytes.len() as u64;
        if sent < bytes.len() {
            out.extend_from_slice(&bytes[sent..]);
            self.shard.buffered(bytes.len() - sent);
            let over = out.len() - self.out_at.get() > self.shard.limits().client_out_bytes_max;
            drop(out);
            if over {
                self.overflow();
            }
            self.kick();
        } else if self.dead.get() || self.closing.get() {
            drop(out);
            self.kick();
        }
    }

    /// The client does not read: it is closed, nobody else has to wait for it.
    pub(crate) fn overflow(&self) {
        if !self.dead.replace(true) {
            self.shard.counters().numbers.errors.slow_clients += 1;
        }
        self.kick();
    }

    pub(super) fn poll_flush(&self, stream: &mut Stream, cx: &mut Context<'_>) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        while self.out_at.get() < out.len() {
            match poll_write(stream, self.write.as_ref(), cx, &out[self.out_at.get()..]) {
                Poll::Pending => {
                    self.unstall(&out);
                    return Ok(());
                }
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    self.shard.unbuffered(n);
                    self.out_at.set(self.out_at.get() + n);
                    // What was written is given back now and then, not byte by byte.
                    if self.out_at.get() >= CONGESTED_BYTES {
                        out.drain(..self.out_at.get());
                        self.out_at.set(0);
                    }
                }
                Poll::Ready(Err(e)) => return Err(e),
            }
        }
        out.clear();
        self.out_at.set(0);
        if out.capacity() > KEEP_BYTES {
            *out = Vec::new();
        }
        self.unstall(&out);
        match stream.poll_flush(cx) {
            Poll::Ready(Err(e)) => Err(e),
            _ => Ok(()),
        }
    }

    pub(super) fn unstall(&self, out: &[u8]) {
        if out.len() - self.out_at.get() > CONGESTED_BYTES / 2 {
            return;
        }
        self.impatient.set(false);
        if self.wait.get() == Wait::Room
            && self.in_flight.get() <= self.shard.limits().client_pipeline_max / 2
        {
            self.wait.set(Wait::Nothing);
        }
        if let Some(lane) = self.stalling.take().and_then(|l| l.upgrade()) {
            lane.wake();
        }
    }

    pub(super) fn unread(&self) -> usize {
        self.out.borrow().len() - self.out_at.get()
    }

    /// More unread output than is worth adding to.
    pub(crate) fn congested(&self) -> bool {
        self.unread() > CONGESTED_BYTES
    }

    /// Little enough unread output for a stalled lane to go on.
    pub(crate) fn drained(&self) -> bool {
        self.dead.get() || self.unread() <= CONGESTED_BYTES / 2
    }

    /// This lane reads on when the client has taken its replies.
    pub(crate) fn stalling(&self, lane: &Rc<Lane<P>>) {
        *self.stalling.borrow_mut() = Some(Rc::downgrade(lane));
    }
}
