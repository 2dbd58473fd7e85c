use thiserror::Error;

/// What kind of trouble a port is in; decides what the engine does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The server could not be reached or dropped the connection. Retry with backoff.
    Unreachable,
    /// Wrong credentials or a missing right. Retry slowly; an operator has to act.
    Denied,
    /// The server is out of memory or disk. Retry with backoff, open the breaker.
    Full,
    /// This record cannot be held by that server. Park it.
    Rejected,
    /// The server said something the protocol does not allow. Drop the connection, retry.
    Protocol,
    /// The capability is missing on this server. Do not retry.
    Unsupported,
    /// The dataset was failed over or replaced under us. Stop and ask.
    Replaced,
}

/// A failed port call.
#[derive(Debug, Clone, Error)]
#[error("{code}: {message}")]
pub struct PortError {
    /// What to do about it.
    pub trouble: Trouble,
    /// The `EXO-` code an operator can look up.
    pub code: &'static str,
    /// What happened, with addresses but never values or secrets.
    pub message: String,
}

impl PortError {
    /// A failure of this kind.
    #[must_use]
    pub fn new(trouble: Trouble, code: &'static str, message: impl Into<String>) -> Self {
        Self { trouble, code, message: message.into() }
    }
}
