//! What a request's reply looks like on the wire, packed into the proxy's token.

use family::Expect;

/// One message.
pub(super) const ONE: Expect = Expect(1);
/// `+OK`, then a stream of status lines that answer nothing.
pub(super) const MONITOR: Expect = Expect(2 << KIND_SHIFT | 1);
/// Two messages; the first answers a PING of ours.
pub(super) const AFTER_PING: Expect = Expect(3 << KIND_SHIFT | 2);

const KIND_SHIFT: u32 = 28;
const COUNT_MASK: u32 = (1 << KIND_SHIFT) - 1;
const CONFIRMATIONS: u32 = 1;

/// How to read a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Confirmations,
    Monitor,
    AfterPing,
}

/// `count` confirmations of (un)subscribing, or one error.
pub(super) fn confirmations(count: usize) -> Expect {
    let count = u32::try_from(count).unwrap_or(COUNT_MASK).clamp(1, COUNT_MASK);
    Expect(CONFIRMATIONS << KIND_SHIFT | count)
}

pub(super) const fn kind(expect: Expect) -> Kind {
    match expect.0 >> KIND_SHIFT {
        0 => Kind::One,
        CONFIRMATIONS => Kind::Confirmations,
        2 => Kind::Monitor,
        _ => Kind::AfterPing,
    }
}

pub(super) const fn count(expect: Expect) -> u32 {
    expect.0 & COUNT_MASK
}
