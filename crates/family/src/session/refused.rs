//! Errors that clients get from us and not from a server.

/// Why a client gets an error from us and not from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The interlay serves as many clients as it may.
    TooManyClients,
    /// No connection to the authority could be opened; the request was not sent.
    Unreachable,
    /// Writes were held longer than the limit; the request was not sent.
    HeldTooLong,
    /// Cannot be kept across two sides; the request was not sent.
    NotKept,
    /// Touches records of tenants that both sides decide about; the request was not sent.
    SpansTenants,
    /// A bound on memory was reached; the request was not sent.
    Overloaded,
    /// What may have changed cannot be noted durably; the request was not sent.
    NotNoted,
    /// Too large to be carried over to another authority.
    TooLarge,
    /// The connection to the server broke while the request was on its way.
    Lost,
    /// The interlay is being drained.
    Draining,
}

impl Refused {
    /// The `EXO-` code an operator can look up.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooManyClients => "EXO-PXY-001",
            Self::Unreachable => "EXO-PXY-002",
            Self::HeldTooLong => "EXO-PXY-003",
            Self::NotKept => "EXO-PXY-004",
            Self::SpansTenants => "EXO-PXY-005",
            Self::Overloaded => "EXO-PXY-006",
            Self::NotNoted => "EXO-PXY-007",
            Self::TooLarge => "EXO-PXY-008",
            Self::Lost => "EXO-PXY-009",
            Self::Draining => "EXO-PXY-010",
        }
    }

    /// What happened, in a few words without line breaks.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooManyClients => "max number of clients reached",
            Self::Unreachable => "the database cannot be reached, nothing was sent",
            Self::HeldTooLong => "writes were held longer than the limit, nothing was sent",
            Self::NotKept => {
                "this command cannot be kept across two systems while a migration runs"
            }
            Self::SpansTenants => "this command spans tenants that different systems decide about",
            Self::Overloaded => "memory limit of the interlay reached, nothing was sent",
            Self::NotNoted => "changes cannot be noted durably, nothing was sent",
            Self::TooLarge => "too large to be carried over a switch of authority",
            Self::Lost => "the connection to the database broke, the outcome is unknown",
            Self::Draining => "this interlay is being drained",
        }
    }
}

/// An error for a client, before its family puts it into its own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientError {
    /// Why.
    pub why: Refused,
}

impl From<Refused> for ClientError {
    fn from(why: Refused) -> Self {
        Self { why }
    }
}
