//! Type bytes: `src/include/libpq/protocol.h` of PostgreSQL 18.

/// Types a client sends.
pub mod frontend {
    /// A prepared statement becomes a portal.
    pub const BIND: u8 = b'B';
    /// Forget a statement or a portal.
    pub const CLOSE: u8 = b'C';
    /// What are its parameters and columns?
    pub const DESCRIBE: u8 = b'D';
    /// Run a portal.
    pub const EXECUTE: u8 = b'E';
    /// Call a function by its OID.
    pub const FUNCTION_CALL: u8 = b'F';
    /// Send what you have.
    pub const FLUSH: u8 = b'H';
    /// Prepare a statement.
    pub const PARSE: u8 = b'P';
    /// A simple query.
    pub const QUERY: u8 = b'Q';
    /// End of a pipeline's step.
    pub const SYNC: u8 = b'S';
    /// Good-bye.
    pub const TERMINATE: u8 = b'X';
    /// COPY failed on the client's side.
    pub const COPY_FAIL: u8 = b'f';
    /// Any answer to an authentication request.
    pub const PASSWORD: u8 = b'p';
}

/// Types a server sends.
pub mod backend {
    /// ParseComplete.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// BindComplete.
    pub const BIND_COMPLETE: u8 = b'2';
    /// CloseComplete.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// NotificationResponse.
    pub const NOTIFICATION: u8 = b'A';
    /// CommandComplete.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// DataRow.
    pub const DATA_ROW: u8 = b'D';
    /// ErrorResponse.
    pub const ERROR: u8 = b'E';
    /// CopyInResponse.
    pub const COPY_IN: u8 = b'G';
    /// CopyOutResponse.
    pub const COPY_OUT: u8 = b'H';
    /// EmptyQueryResponse.
    pub const EMPTY_QUERY: u8 = b'I';
    /// BackendKeyData.
    pub const KEY_DATA: u8 = b'K';
    /// NoticeResponse.
    pub const NOTICE: u8 = b'N';
    /// Authentication requests.
    pub const AUTHENTICATION: u8 = b'R';
    /// ParameterStatus.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// RowDescription.
    pub const ROW_DESCRIPTION: u8 = b'T';
    /// FunctionCallResponse.
    pub const FUNCTION_RESULT: u8 = b'V';
    /// CopyBothResponse.
    pub const COPY_BOTH: u8 = b'W';
    /// ReadyForQuery.
    pub const READY: u8 = b'Z';
    /// NoData.
    pub const NO_DATA: u8 = b'n';
    /// PortalSuspended.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// ParameterDescription.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// NegotiateProtocolVersion.
    pub const NEGOTIATE: u8 = b'v';
}

/// COPY data, either way.
pub const COPY_DATA: u8 = b'd';
/// COPY is complete, either way.
pub const COPY_DONE: u8 = b'c';
/// What scanners say for packets of the startup phase, which have no type byte.
pub const STARTUP: u8 = 0;
