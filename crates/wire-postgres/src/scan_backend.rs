//! Where a server's messages begin and end.
//!
//! Constraints and life are those of the other direction, with libpq as the measure of what a
//! client believes.

use crate::error::FrameError;
use crate::limits::{
    AUTH_REQUEST_LENGTH_MAX, PARAMETERS_LENGTH_MAX, REPLY_LONG_LENGTH_MAX, REPLY_SHORT_LENGTH_MAX,
};
use crate::scan::{Cursor, HEAD_BYTES, Head, Lengths, Scanned, with};
use crate::tags;

/// What a server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendPhase {
    /// One byte that answers a request for encryption: `S` (TLS), `G` (GSSAPI) or `N` (neither).
    /// A server that is too old or too full sends an error instead.
    Encryption,
    /// Authentication requests. Left after AuthenticationOk was taken.
    #[default]
    Authentication,
    /// Everything of a session.
    Session,
}

const NONE: Lengths = [0; 256];
const AUTHENTICATION: Lengths =
    with(with(NONE, b"Rv", AUTH_REQUEST_LENGTH_MAX), b"EN", REPLY_SHORT_LENGTH_MAX);
const SESSION: Lengths = with(
    with(
        with(
            with(NONE, b"123CcGHIKSWZnsv", REPLY_SHORT_LENGTH_MAX),
            b"ADENTVd",
            REPLY_LONG_LENGTH_MAX,
        ),
        b"R",
        AUTH_REQUEST_LENGTH_MAX,
    ),
    b"t",
    PARAMETERS_LENGTH_MAX,
);

/// Finds the ends of a server's messages.
#[derive(Debug, Clone, Default)]
pub struct BackendScanner {
    phase: BackendPhase,
    cursor: Cursor,
    /// The message at the front lets the client in.
    admits: bool,
}

impl BackendScanner {
    /// After a startup message was sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Between two messages of a phase.
    #[must_use]
    pub fn at(phase: BackendPhase) -> Self {
        Self { phase, ..Self::default() }
    }

    /// What may come now.
    #[must_use]
    pub fn phase(&self) -> BackendPhase {
        self.phase
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
        match self.phase {
            BackendPhase::Session => self.cursor.typed(input, &SESSION, FrameError::BackendType),
            BackendPhase::Authentication => self.authentication(input),
            BackendPhase::Encryption => match input.first() {
                Some(&tag @ (b'S' | b'G' | b'N')) => {
                    Ok(self.cursor.found(input, Head { tag, len: 1 }))
                }
                Some(&tag) if tag != tags::backend::ERROR => Err(FrameError::BackendType(tag)),
                _ => self.cursor.typed(input, &AUTHENTICATION, FrameError::BackendType),
            },
        }
    }

    fn authentication(&mut self, input: &[u8]) -> Result<Scanned, FrameError> {
        let scanned = self.cursor.typed(input, &AUTHENTICATION, FrameError::BackendType)?;
        if let Scanned::Begun(head) | Scanned::Whole(head) = scanned
            && head.tag == tags::backend::AUTHENTICATION
        {
            // Its code decides the phase that follows, so it comes whole or not at all.
            match input.get(HEAD_BYTES..HEAD_BYTES + 4) {
                _ if head.len < HEAD_BYTES + 4 => {
                    let length = u32::try_from(head.len - 1).unwrap_or(u32::MAX);
                    return Err(FrameError::Length { tag: head.tag, length });
                }
                None => return Ok(Scanned::More),
                Some(code) => self.admits = code == [0; 4],
            }
        }
        Ok(scanned)
    }

    /// The first `bytes` of the input were taken: at most what the last scan said is part of one
    /// message.
    #[inline]
    pub fn taken(&mut self, bytes: usize) {
        self.cursor.taken(bytes);
        if bytes > 0 && self.cursor.between() && self.phase != BackendPhase::Session {
            self.phase = match self.phase {
                BackendPhase::Authentication if !self.admits => BackendPhase::Authentication,
                BackendPhase::Encryption => BackendPhase::Authentication,
                _ => BackendPhase::Session,
            };
        }
    }
}
