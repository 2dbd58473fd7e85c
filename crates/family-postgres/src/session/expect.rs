//! How a reply is recognised, packed into the proxy's token.

use family::Expect;

const KIND_SHIFT: u32 = 29;
const CERTAIN: u32 = 1 << 28;
const COUNT_MASK: u32 = CERTAIN - 1;

/// What ends a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// ReadyForQuery of a simple query or a function call; passed over after an error in the
    /// extended messages before it.
    Query,
    /// ReadyForQuery of a Sync behind `count` extended messages, or the CopyInResponse of one of
    /// them: the server reads the Sync as part of the COPY then.
    Sync,
    /// Messages without a Sync: as many answers, an error, or a CopyInResponse.
    Run,
    /// The rest of the opening: all up to the first ReadyForQuery, or an error.
    Greeting,
}

/// An expectation, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) kind: Kind,
    /// Extended messages.
    pub(super) count: u32,
    /// The Sync was sent when no COPY can have been in progress, or behind its end.
    pub(super) certain: bool,
}

pub(super) const QUERY: Expect = Expect(0);
pub(super) const GREETING: Expect = Expect(3 << KIND_SHIFT);

pub(super) fn sync(count: u32, certain: bool) -> Expect {
    let certain = if certain { CERTAIN } else { 0 };
    Expect(1 << KIND_SHIFT | certain | count.min(COUNT_MASK))
}

pub(super) fn run(count: u32) -> Expect {
    Expect(2 << KIND_SHIFT | CERTAIN | count.min(COUNT_MASK))
}

pub(super) fn unpack(expect: Expect) -> Expected {
    let kind = match expect.0 >> KIND_SHIFT {
        0 => Kind::Query,
        1 => Kind::Sync,
        2 => Kind::Run,
        _ => Kind::Greeting,
    };
    Expected { kind, count: expect.0 & COUNT_MASK, certain: expect.0 & CERTAIN != 0 }
}
