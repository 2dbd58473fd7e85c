use super::*;

#[test]
fn the_list_was_read() {
    assert_eq!(function("lower"), Some(Volatility::Immutable));
    assert_eq!(function("to_char"), Some(Volatility::Stable));
    for volatile in ["random", "nextval", "pg_terminate_backend", "no_such_function", ""] {
        assert_eq!(function(volatile), None, "{volatile}");
    }
    assert!(operator("=") && operator("->>") && !operator("=~~~="));
    assert!(is_type("int4") && is_type("_text") && !is_type("customer"));
}

#[test]
fn identifiers_are_told_from_values() {
    for name in ["oid", "regclass", "_regtype", "xid8"] {
        assert!(is_object_id(name), "{name}");
    }
    for name in ["int4", "uuid", "region", "text"] {
        assert!(!is_object_id(name), "{name}");
    }
}

#[test]
fn what_volatility_does_not_tell() {
    let cases = [
        ("txid_current", Some(Special::TransactionId)),
        ("pg_advisory_unlock_all", Some(Special::SessionLock)),
        ("pg_try_advisory_lock_shared", Some(Special::SessionLock)),
        ("pg_try_advisory_xact_lock", Some(Special::TransactionLock)),
        ("lo_get", Some(Special::LargeObject)),
        ("table_to_xml_and_xmlschema", Some(Special::Anything)),
        ("domain_in", Some(Special::Anything)),
        ("pg_backend_pid", Some(Special::Server)),
        ("pg_typeof", None),
        ("lower", None),
    ];
    for (name, expected) in cases {
        assert_eq!(special(name, function(name)), expected, "{name}");
    }
}
