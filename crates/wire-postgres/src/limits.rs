//! Every bound of the protocol, with where it comes from.
//!
//! Server and libpq sources are those of PostgreSQL 18
//! (<https://github.com/postgres/postgres/tree/REL_18_STABLE>). Servers before 14 have no bounds
//! for single types of messages: there, those of 14 and later are ours. Lengths are values of the
//! length word, which counts itself (4 bytes) and not the type byte.

/// Least value of a length word: `pq_getmessage` in `src/backend/libpq/pqcomm.c`.
pub const LENGTH_MIN: u32 = 4;
/// Startup packets: `ProcessStartupPacket` (`src/backend/tcop/backend_startup.c`) wants at least a
/// protocol version after the length word.
pub const STARTUP_LENGTH_MIN: u32 = 8;
/// Startup packets: `MAX_STARTUP_PACKET_LENGTH` (`src/include/libpq/pqcomm.h`) is 10000 and is
/// compared after the length word was taken off.
pub const STARTUP_LENGTH_MAX: u32 = 10_000 + 4;
/// Messages of a client that carry names at most: `PQ_SMALL_MESSAGE_LIMIT`
/// (`src/include/libpq/libpq.h`).
pub const SMALL_LENGTH_MAX: u32 = 10_000;
/// Messages of a client that carry statements, values or COPY data: `PQ_LARGE_MESSAGE_LIMIT`
/// (`src/include/libpq/libpq.h`), which is `MaxAllocSize - 1` (`src/include/utils/memutils.h`).
pub const LARGE_LENGTH_MAX: u32 = 0x3fff_ffff - 1;
/// Passwords and GSSAPI tokens: `PG_MAX_AUTH_TOKEN_LENGTH` (`src/include/libpq/auth.h`). SCRAM
/// messages have the stricter `PG_MAX_SASL_MESSAGE_LENGTH` (1024), which is for whoever knows the
/// mechanism.
pub const AUTH_ANSWER_LENGTH_MAX: u32 = 65_535;
/// Authentication requests and protocol negotiation of a server: what `PQconnectPoll`
/// (`src/interfaces/libpq/fe-connect.c`) believes.
pub const AUTH_REQUEST_LENGTH_MAX: u32 = 2_000;
/// Messages of a server that are never long: what `pqParseInput3`
/// (`src/interfaces/libpq/fe-protocol3.c`) believes of types outside `VALID_LONG_MESSAGE_TYPE`.
pub const REPLY_SHORT_LENGTH_MAX: u32 = 30_000;
/// ParameterDescription: its count has 16 bits, so this is the longest that can be well formed.
/// More than some releases of libpq believe.
pub const PARAMETERS_LENGTH_MAX: u32 = 4 + 2 + 4 * 65_535;
/// Messages of a server that may be long: libpq believes any positive length. Nothing is
/// allocated for it here, so this only catches nonsense.
pub const REPLY_LONG_LENGTH_MAX: u32 = i32::MAX as u32;
/// Shortest cancel key, in bytes: the only length before protocol 3.2, the least after
/// (<https://www.postgresql.org/docs/18/protocol-message-formats.html>, BackendKeyData).
pub const CANCEL_KEY_MIN: usize = 4;
/// Longest cancel key of protocol 3.2, in bytes (same page). A PostgreSQL 18 server sends 32.
pub const CANCEL_KEY_MAX: usize = 256;
/// First byte of a TLS record that carries a ClientHello, with which a client begins that wants
/// TLS without asking (`sslnegotiation=direct`). No startup packet begins so.
pub const TLS_HANDSHAKE: u8 = 0x16;
