//! Every bound of the protocol, with where it comes from.
//!
//! Server sources: `src/server.h` and `src/networking.c` of Redis 7.0
//! (<https://github.com/redis/redis/blob/7.0/src/networking.c>), equal in Valkey 8.0. Where a
//! bound of ours is stricter than the server's, it says so.

/// Longest inline request, and longest line that announces a count or a length, in bytes:
/// `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments a request may announce: `processMultibulkBuffer` refuses more than `INT_MAX`.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;
/// Largest argument, in bytes: the default of `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: i64 = 512 * 1024 * 1024;
/// Largest string in a reply, in bytes. A server whose `proto-max-bulk-len` was raised may send
/// more than its default; nothing is allocated for it, so this only catches nonsense.
pub const REPLY_BULK_BYTES_MAX: i64 = 1 << 40;
/// Most items one aggregate of a reply may announce. Nothing is allocated for them.
pub const REPLY_ITEMS_MAX: i64 = u32::MAX as i64;
/// Deepest nesting of a reply. Servers build replies from commands (a few levels) and from Lua
/// tables, which `redis-cli` and this crate meet at most some hundred levels deep.
pub const REPLY_DEPTH_MAX: usize = 512;
/// Longest line of a reply (status, error, number), in bytes.
pub const REPLY_LINE_BYTES_MAX: usize = 64 * 1024;
