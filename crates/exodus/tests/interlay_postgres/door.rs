//! Getting in, and what is said to those who do not; cancelling.

use std::time::Duration;

use family_postgres::session::ProtocolOptions;

use crate::raw::{Raw, message, query, said, startup};
use crate::rig::Rig;

#[test]
fn what_a_startup_packet_may_ask_for() {
    let rig = Rig::one();
    let reply = |bytes: &[u8]| {
        let mut raw = Raw::bare(rig.address());
        raw.send(bytes);
        raw.message().map(|m| said(&m)).unwrap_or_default()
    };
    assert_eq!(reply(&startup(&[])), "!28000");
    assert_eq!(reply(&[0, 0, 0, 8, 0, 2, 0, 0]), "!0A000");
    assert_eq!(reply(&[0, 0, 0, 4, 0, 3, 0, 0]), "!08P01");
    assert_eq!(reply(&[0, 1, 0, 0, 0, 3, 0, 0]), "!08P01");
    assert_eq!(reply(&[0, 0, 0, 9, 0, 3, 0, 0, b'x']), "!08P01");
    // No TLS here: the client is told and may go on without.
    let mut raw = Raw::bare(rig.address());
    raw.send(&[0, 0, 0, 8, 4, 210, 22, 47]);
    let mut one = [0];
    std::io::Read::read_exact(&mut raw.stream, &mut one).unwrap();
    assert_eq!(&one, b"N");
    raw.send(&startup(&[("user", "x")]));
    assert_eq!(raw.message().unwrap()[..9], [b'R', 0, 0, 0, 23, 0, 0, 0, 10]);
}

#[test]
fn a_newer_protocol_is_negotiated() {
    let rig = Rig::open();
    let mut packet = startup(&[("user", "open"), ("database", &rig.database), ("_pq_.x", "1")]);
    packet[4..8].copy_from_slice(&[0, 3, 0, 9]);
    let mut raw = Raw::bare(rig.address());
    raw.send(&packet);
    assert_eq!(raw.message().unwrap(), message(b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.x\0"));
    let (greeting, status) = raw.until_ready();
    assert_eq!(status, b'I');
    // A cancel key of the length that this version has.
    assert!(greeting.windows(5).any(|w| w == [b'K', 0, 0, 0, 40]), "{}", greeting.escape_ascii());
}

#[test]
fn nobody_learns_which_roles_there_are() {
    let rig = Rig::one();
    let asked = |user: &str| {
        let mut raw = Raw::bare(rig.address());
        raw.send(&startup(&[("user", user)]));
        let sasl = raw.message().unwrap();
        let first = b"SCRAM-SHA-256\0\0\0\0\x0bn,,n=,r=abc";
        raw.send(&message(b'p', first));
        let challenge = raw.message().unwrap();
        let text = String::from_utf8_lossy(&challenge[9..]).into_owned();
        let nonce = text.split(',').next().unwrap().to_owned();
        let proof = "A".repeat(43);
        raw.send(&message(b'p', format!("c=biws,{nonce},p={proof}=").as_bytes()));
        (sasl, text.split(',').nth(1).unwrap().to_owned(), said(&raw.rest()))
    };
    let (known, unknown) = (asked("exodus"), asked("nobody"));
    assert_eq!(known.0, unknown.0);
    assert_eq!((known.2.as_str(), unknown.2.as_str()), ("!28P01", "!28P01"));
    assert_eq!(asked("nobody").1, unknown.1, "the same salt every time");
    assert_eq!(known.1.len(), unknown.1.len());
    // Trusted by the server, without a password: not let in unless that is wanted.
    rig.source.sql(
        &rig.database,
        "DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE \
        rolname = 'open') THEN CREATE ROLE open LOGIN; END IF; END$$",
    );
    assert_eq!(asked("open").2, "!28P01");
}

#[test]
fn a_role_with_an_old_hash_gets_in() {
    let rig = Rig::one();
    rig.source.sql(
        &rig.database,
        "SET password_encryption = 'md5'; DROP ROLE IF EXISTS hashed; \
        CREATE ROLE hashed LOGIN PASSWORD 'exodus-secret'",
    );
    let mut psql = rig.program("psql", true);
    let done = psql.env("PGUSER", "hashed").args(["-X", "-t", "-A", "-c", "select session_user"]);
    let done = done.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "hashed");
    let wrong = rig
        .program("psql", true)
        .env("PGUSER", "hashed")
        .env("PGPASSWORD", "x")
        .args(["-X", "-c", "select 1"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("password authentication failed"));
}

#[test]
fn too_many_clients_and_required_tls_are_told() {
    let rig = Rig::with(ProtocolOptions::default(), |c| c.limits.connections_max = 0);
    let mut raw = Raw::bare(rig.address());
    assert_eq!(said(&raw.rest()), "!53300");
    let options = ProtocolOptions { tls_required: true, ..ProtocolOptions::default() };
    let rig = Rig::with(options, |_| {});
    let mut raw = Raw::bare(rig.address());
    raw.send(&startup(&[("user", "exodus")]));
    assert_eq!(said(&raw.rest()), "!28000");
}

/// The process and the secret of a greeting.
fn key(greeting: &[u8]) -> Vec<u8> {
    let at = greeting.windows(5).position(|w| w == [b'K', 0, 0, 0, 12]).unwrap();
    greeting[at + 5..at + 13].to_vec()
}

#[test]
fn only_a_running_statement_is_cancelled_and_only_with_the_right_key() {
    let rig = Rig::open();
    let mut raw = Raw::bare(rig.address());
    raw.send(&startup(&[("user", "open"), ("database", &rig.database)]));
    let key = key(&raw.until_ready().0);
    let cancel = |key: &[u8]| {
        let mut other = Raw::bare(rig.address());
        other.send(&[&[0, 0, 0, 16, 4, 210, 22, 46], key].concat());
        assert_eq!(other.rest(), b"");
    };
    cancel(&key);
    assert_eq!(raw.ask("select 1"), "1 I");
    raw.send(&query("select pg_sleep(30)"));
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    cancel(&wrong);
    // The statement runs once the server says so.
    let running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' \
                   and state = 'active'";
    while rig.source.sql(&rig.database, running) != "1" {
        std::thread::sleep(Duration::from_millis(5));
    }
    cancel(&key);
    let (reply, status) = raw.until_ready();
    assert_eq!((said(&reply).as_str(), status), ("!57014", b'I'));
    assert_eq!(raw.ask("select 1"), "1 I");
}
