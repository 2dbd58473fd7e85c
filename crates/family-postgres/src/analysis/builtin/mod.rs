//! What is believed of PostgreSQL's own functions, operators and types.
//!
//! `names.txt` is made from a real server's catalog (`generate.sql` says how) and holds what is
//! not volatile. Volatility alone says too little: `txid_current` is stable and assigns a
//! transaction id, `random` is volatile and changes nothing. [`special`] knows those.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::catalog::Volatility;

const NAMES: &str = include_str!("names.txt");

struct Names {
    functions: HashMap<&'static str, Volatility>,
    operators: Vec<&'static str>,
    types: Vec<&'static str>,
}

static BUILTIN: LazyLock<Names> = LazyLock::new(|| {
    let mut names = Names { functions: HashMap::new(), operators: Vec::new(), types: Vec::new() };
    let mut section = "";
    for word in NAMES.split_ascii_whitespace() {
        match (word.strip_suffix(':'), section) {
            (Some(next), _) => section = next,
            (None, "immutable") => drop(names.functions.insert(word, Volatility::Immutable)),
            (None, "stable") => drop(names.functions.insert(word, Volatility::Stable)),
            (None, "operators") => names.operators.push(word),
            _ => names.types.push(word),
        }
    }
    names.operators.sort_unstable();
    names.types.sort_unstable();
    names
});

/// How volatile a function of PostgreSQL itself is; `None` for one that is volatile or unknown.
pub(super) fn function(name: &str) -> Option<Volatility> {
    BUILTIN.functions.get(name).copied()
}

/// Whether PostgreSQL itself has this operator, without side effects.
pub(super) fn operator(name: &str) -> bool {
    BUILTIN.operators.binary_search(&name).is_ok()
}

/// Whether PostgreSQL itself has this type, or it is an array of one.
pub(super) fn is_type(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    BUILTIN.types.binary_search(&element).is_ok()
}

/// Types whose values are identifiers that differ between servers.
pub(super) fn is_object_id(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    matches!(element, "oid" | "oidvector" | "xid" | "xid8" | "cid" | "tid" | "pg_snapshot")
        || matches!(element, "txid_snapshot" | "pg_lsn")
        || (element.starts_with("reg") && is_type(element))
}

/// What a function of PostgreSQL itself does that its volatility does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Another value each time, and no other effect.
    Value,
    /// The time of the transaction or statement.
    Time,
    /// Asks about the server or session; no effect.
    Server,
    /// Sequences.
    Sequence,
    /// Session locks.
    SessionLock,
    /// Transaction locks.
    TransactionLock,
    /// Notifications.
    Notify,
    /// `set_config`.
    Setting,
    /// Large objects.
    LargeObject,
    /// Assigns a transaction id.
    TransactionId,
    /// Exports a snapshot.
    Snapshot,
    /// Files of the server.
    Files,
    /// Runs a query given as text, or checks of a type given by number: may do anything.
    Anything,
}

/// Stable functions that run what they are given.
const ANYTHING: &[&str] =
    &["table_to_xml", "schema_to_xml", "database_to_xml", "pg_input_is_valid", "pg_input_error"];

/// Volatile functions that change nothing and only answer differently each time.
const VALUES: &[&str] = &[
    "random",
    "clock_timestamp",
    "timeofday",
    "gen_random_uuid",
    "random_normal",
    "uuidv4",
    "uuidv7",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    // Methods of TABLESAMPLE.
    "bernoulli",
    "system",
];

/// The same of extensions that come with PostgreSQL: `uuid-ossp`, `pgcrypto`.
const EXTENSION_VALUES: &[&str] = &[
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "gen_random_uuid",
    "gen_random_bytes",
    "gen_salt",
];

/// Whether a function in C has the name of one of those.
pub(super) fn is_value_of_extension(name: &str) -> bool {
    EXTENSION_VALUES.contains(&name)
}

/// Functions about the server or session that are volatile and change nothing.
const VOLATILE_SERVER: &[&str] = &[
    "current_query",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_prepared_xact",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_status",
    "txid_status",
];

/// Functions with `pg_` that say the same on every server.
const SAME_EVERYWHERE: &[&str] = &[
    "pg_char_to_encoding",
    "pg_client_encoding",
    "pg_collation_for",
    "pg_encoding_max_length",
    "pg_encoding_to_char",
    "pg_get_keywords",
    "pg_size_bytes",
    "pg_size_pretty",
    "pg_typeof",
];

/// Functions about the server or session, besides those that begin with `pg_`.
const SERVER: &[&str] = &[
    "aclexplode",
    "col_description",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_setting",
    "format_type",
    "getdatabaseencoding",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "mxid_age",
    "obj_description",
    "oidvectortypes",
    "row_security_active",
    "shobj_description",
    "txid_current_if_assigned",
    "txid_current_snapshot",
    "version",
];

/// What is special about a function of PostgreSQL itself, by its name. `volatility` is what its
/// server says; `None` if it is volatile or there is no such function.
pub(super) fn special(name: &str, volatility: Option<Volatility>) -> Option<Special> {
    let special = match name {
        "nextval" | "setval" | "currval" | "lastval" => Special::Sequence,
        "pg_notify" => Special::Notify,
        "set_config" | "setseed" => Special::Setting,
        "now" | "transaction_timestamp" | "statement_timestamp" | "age" => Special::Time,
        "txid_current" | "pg_current_xact_id" => Special::TransactionId,
        "pg_export_snapshot" => Special::Snapshot,
        "loread" | "lowrite" => Special::LargeObject,
        _ if name.starts_with("lo_") => Special::LargeObject,
        _ if name.contains("advisory_xact_lock") => Special::TransactionLock,
        _ if name.contains("advisory_") && name.starts_with("pg_") => Special::SessionLock,
        _ if name.starts_with("pg_read_") || name.starts_with("pg_ls_") => Special::Files,
        "pg_stat_file" => Special::Files,
        _ if VALUES.contains(&name) => Special::Value,
        _ if VOLATILE_SERVER.contains(&name) || SERVER.contains(&name) => Special::Server,
        _ if name.starts_with("has_") && name.ends_with("_privilege") => Special::Server,
        _ if name.starts_with("to_reg") => Special::Server,
        _ if ANYTHING.iter().any(|prefix| name.starts_with(prefix)) => Special::Anything,
        // Input functions check types and domains that are given by number.
        _ if (name.ends_with("_in") || name.ends_with("_recv"))
            && volatility == Some(Volatility::Stable) =>
        {
            Special::Anything
        }
        _ if name.starts_with("pg_lsn") || name.starts_with("pg_snapshot") => return None,
        _ if name.starts_with("pg_")
            && volatility.is_some()
            && !SAME_EVERYWHERE.contains(&name) =>
        {
            Special::Server
        }
        _ => return None,
    };
    Some(special)
}
