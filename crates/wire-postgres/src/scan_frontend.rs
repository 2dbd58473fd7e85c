//! Where a client's messages begin and end.
//!
//! Constraints: allocates nothing, looks at heads only, accepts a length or a type exactly where
//! a server does. What is inside a message is judged by its view, because a server stays in step
//! when a content is wrong.
//!
//! Life: [`FrontendScanner::scan`] with the input from the first untaken byte; then
//! [`FrontendScanner::taken`]; again. A message that is [`Scanned::Begun`] may be taken in parts:
//! the scanner then says how much of what follows belongs to it.

use crate::error::FrameError;
use crate::limits::{
    AUTH_ANSWER_LENGTH_MAX, LARGE_LENGTH_MAX, SMALL_LENGTH_MAX, STARTUP_LENGTH_MAX,
    STARTUP_LENGTH_MIN, TLS_HANDSHAKE,
};
use crate::scan::{Cursor, Head, Lengths, Scanned, with};
use crate::startup::{CANCEL_CODE, GSSENC_CODE, SSL_CODE};
use crate::tags;

/// What a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrontendPhase {
    /// Packets without a type: startup, requests for encryption, cancel.
    #[default]
    Startup,
    /// Answers to authentication requests. Entered after a startup message was taken.
    Authentication,
    /// Everything of a session. Also right for whoever forwards COPY: a client may send COPY data
    /// before the server said that it wants it.
    Session,
    /// What a server reads while it wants COPY data (`CopyGetData`, `copyfromparse.c`).
    CopyIn,
    /// What a server reads while it replicates (`ProcessRepliesIfAny`, `walsender.c`).
    CopyBoth,
}

const NONE: Lengths = [0; 256];
const AUTHENTICATION: Lengths = with(NONE, b"p", AUTH_ANSWER_LENGTH_MAX);
/// `SocketBackend`, `src/backend/tcop/postgres.c`.
const SESSION: Lengths =
    with(with(NONE, b"QFBPd", LARGE_LENGTH_MAX), b"XCDEHScf", SMALL_LENGTH_MAX);
const COPY_IN: Lengths = with(with(NONE, b"d", LARGE_LENGTH_MAX), b"cfHS", SMALL_LENGTH_MAX);
const COPY_BOTH: Lengths = with(with(NONE, b"d", LARGE_LENGTH_MAX), b"cX", SMALL_LENGTH_MAX);

/// Finds the ends of a client's messages.
#[derive(Debug, Clone, Default)]
pub struct FrontendScanner {
    phase: FrontendPhase,
    cursor: Cursor,
    /// The packet at the front is a startup message.
    starts: bool,
}

impl FrontendScanner {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Between two messages of a phase.
    #[must_use]
    pub fn at(phase: FrontendPhase) -> Self {
        Self { phase, ..Self::default() }
    }

    /// What may come now.
    #[must_use]
    pub fn phase(&self) -> FrontendPhase {
        self.phase
    }

    /// The next message is one of this phase. Whoever knows that the client was let in calls it
    /// with [`FrontendPhase::Session`], and scans nothing in between: a client that needs no
    /// password may have sent its first query already.
    pub fn enter(&mut self, phase: FrontendPhase) {
        self.phase = phase;
    }

    /// Whether no message is taken in part.
    #[must_use]
    pub fn between(&self) -> bool {
        self.cursor.between()
    }

    /// What is at the front of the input, which begins with the first untaken byte.
    ///
    /// # Errors
    /// When it is not a message of this phase. The connection is useless then.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Result<Scanned, FrameError> {
        if let Some(rest) = self.cursor.rest(input) {
            return Ok(rest);
        }
        let lengths = match self.phase {
            FrontendPhase::Session => &SESSION,
            FrontendPhase::Startup => return self.startup(input),
            FrontendPhase::Authentication => &AUTHENTICATION,
            FrontendPhase::CopyIn => &COPY_IN,
            FrontendPhase::CopyBoth => &COPY_BOTH,
        };
        self.cursor.typed(input, lengths, FrameError::FrontendType)
    }

    fn startup(&mut self, input: &[u8]) -> Result<Scanned, FrameError> {
        match input.first() {
            None => return Ok(Scanned::More),
            Some(&TLS_HANDSHAKE) => return Err(FrameError::DirectTls),
            Some(_) => {}
        }
        let Some((&word, rest)) = input.split_first_chunk() else { return Ok(Scanned::More) };
        let length = u32::from_be_bytes(word);
        if !(STARTUP_LENGTH_MIN..=STARTUP_LENGTH_MAX).contains(&length) {
            return Err(FrameError::StartupLength(length));
        }
        let Some(&code) = rest.first_chunk() else { return Ok(Scanned::More) };
        let code = u32::from_be_bytes(code);
        self.starts = !matches!(code, SSL_CODE | GSSENC_CODE | CANCEL_CODE);
        Ok(self.cursor.found(input, Head { tag: tags::STARTUP, len: length as usize }))
    }

    /// The first `bytes` of the input were taken: at most what the last scan said is part of one
    /// message.
    #[inline]
    pub fn taken(&mut self, bytes: usize) {
        self.cursor.taken(bytes);
        if self.starts && bytes > 0 && self.cursor.between() {
            self.starts = false;
            self.phase = FrontendPhase::Authentication;
        }
    }
}
