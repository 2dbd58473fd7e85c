//! A logical replication stream, compared with what the server's own SQL functions decode from a
//! second slot, and with what was written.

use tokio_postgres::{Client, NoTls};
use wire_postgres::copy::CopyStart;
use wire_postgres::encode;
use wire_postgres::logical::{Decoder, Event, Message, OldRow, ReplicaIdentity, Tuple, Value};
use wire_postgres::replication::{FromClient, FromServer, Status};
use wire_postgres::startup::Version;
use wire_postgres::{Lsn, split, tags};

use crate::cluster::Cluster;
use crate::doors::Raw;
use crate::tap::Tap;
use crate::{config, content, play};

/// What both sides are asked for: the most that this server speaks.
fn options(cluster: &Cluster) -> [(&'static str, &'static str); 4] {
    let (version, streaming) = if cluster.major >= 16 { ("4", "parallel") } else { ("3", "on") };
    [
        ("proto_version", version),
        ("publication_names", "everything"),
        ("messages", "true"),
        ("streaming", streaming),
    ]
}

const WRITES: [&str; 9] = [
    "INSERT INTO orders VALUES (1, 'one', repeat('a', 20000), 'new'), (2, NULL, NULL, 'paid')",
    "UPDATE orders SET note = 'eins' WHERE id = 1",
    "UPDATE orders SET id = 20 WHERE id = 2",
    "DELETE FROM orders WHERE id = 20",
    "INSERT INTO whole VALUES (7, 'x'); UPDATE whole SET b = 'y'; DELETE FROM whole",
    "TRUNCATE orders, whole RESTART IDENTITY CASCADE",
    "SELECT pg_logical_emit_message(true, 'exodus', 'a token')",
    // More than may be kept in memory: it is streamed while it is open, and part of it is undone.
    "BEGIN; INSERT INTO orders SELECT g, repeat('b', 100), NULL, 'new' FROM generate_series(1, 3000) g; \
     SAVEPOINT s; INSERT INTO orders SELECT g, repeat('c', 100), NULL, 'new' \
     FROM generate_series(3001, 6000) g; ROLLBACK TO s; INSERT INTO whole VALUES (1, 'z'); COMMIT",
    "BEGIN; INSERT INTO whole VALUES (2, 'p'); PREPARE TRANSACTION 'first'; COMMIT PREPARED 'first'; \
     BEGIN; INSERT INTO whole VALUES (3, 'q'); PREPARE TRANSACTION 'second'; ROLLBACK PREPARED 'second'; \
     SELECT pg_logical_emit_message(true, 'end', '')",
];

pub(crate) fn check(cluster: &Cluster) {
    let expected = play(write(cluster));
    let tap = Tap::start(cluster.port, 1);
    let received = stream(cluster, tap.port, expected.len());
    assert!(received == expected, "both decode alike: {} messages", expected.len());

    let recording = tap.finish().remove(0);
    let (asked, answered) = (recording.asked(0), recording.answered(0));
    let data = |messages: &[(u8, &[u8])]| {
        let copied = messages.iter().filter(|(tag, _)| *tag == tags::COPY_DATA);
        copied.map(|(_, m)| split(m).expect("whole").1.to_vec()).collect::<Vec<_>>()
    };
    for status in data(&asked) {
        assert!(matches!(FromClient::parse(&status), Ok(FromClient::Status(_))));
    }
    let mut again = Vec::new();
    for piece in data(&answered) {
        if let FromServer::Wal { data, .. } = FromServer::parse(&piece).expect("of replication") {
            again.push(data.to_vec());
        }
    }
    assert!(again == expected, "the tap heard the same");
    judge(cluster, &expected);
}

/// Writes everything and returns what the server's own functions decode of it.
async fn write(cluster: &Cluster) -> Vec<Vec<u8>> {
    let tap = Tap::start(cluster.port, 1);
    let (client, connection) = config(&tap).connect(NoTls).await.expect("let in");
    let background = tokio::spawn(connection);
    let setup = "CREATE ROLE open LOGIN SUPERUSER REPLICATION; \
         CREATE TYPE state AS ENUM ('new', 'paid'); \
         CREATE TABLE orders (id int PRIMARY KEY, note text, big text, state state); \
         ALTER TABLE orders ALTER big SET STORAGE EXTERNAL; \
         CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL; \
         CREATE PUBLICATION everything FOR TABLE orders, whole";
    client.batch_execute(setup).await.expect("ok");
    for slot in ["heard", "decoded"] {
        let make =
            "SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput', false, true)";
        client.execute(make, &[&slot]).await.expect("a slot");
    }
    for text in WRITES {
        for statement in text.split("; ") {
            client.batch_execute(statement).await.expect(statement);
        }
    }
    let decoded = decoded(cluster, &client).await;
    drop(client);
    background.await.expect("ended").expect("in step");
    tap.finish();
    decoded
}

async fn decoded(cluster: &Cluster, client: &Client) -> Vec<Vec<u8>> {
    let options: Vec<String> =
        options(cluster).iter().map(|(k, v)| format!("'{k}', '{v}'")).collect();
    let text = format!(
        "SELECT data FROM pg_logical_slot_peek_binary_changes('decoded', NULL, NULL, {})",
        options.join(", ")
    );
    let rows = client.query(&text, &[]).await.expect("decoded");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The same from a stream, by our own encoders.
fn stream(cluster: &Cluster, port: u16, wanted: usize) -> Vec<Vec<u8>> {
    let mut raw = Raw::connect(port);
    let parameters: [(&[u8], &[u8]); 3] =
        [(b"user", b"open"), (b"database", b"postgres"), (b"replication", b"database")];
    raw.send(|out| encode::startup(out, Version::V3_0, &parameters));
    raw.until(tags::backend::READY);
    let options: Vec<String> = options(cluster).iter().map(|(k, v)| format!("{k} '{v}'")).collect();
    let start = format!("START_REPLICATION SLOT heard LOGICAL 0/0 ({})", options.join(", "));
    raw.send(|out| encode::query(out, start.as_bytes()));
    let both = raw.next();
    assert_eq!(both[0], tags::backend::COPY_BOTH, "{}", both.escape_ascii());
    assert!(!CopyStart::parse(&both[5..]).expect("checked").binary);
    let mut received = Vec::new();
    let mut status = Status::default();
    while received.len() < wanted {
        let message = raw.next();
        assert_eq!(message[0], tags::COPY_DATA, "{}", message.escape_ascii());
        match FromServer::parse(&message[5..]).expect("of replication") {
            FromServer::Wal { data, end, .. } => {
                received.push(data.to_vec());
                status.written = status.written.max(end);
            }
            FromServer::Keepalive { end, clock, .. } => {
                assert!(end > Lsn(0) && clock.0 > 0);
                status.reply_now = false;
                raw.send(|out| {
                    encode::standby_status(out, &status);
                    Ok(())
                });
            }
        }
    }
    raw.send(|out| {
        encode::standby_status(out, &status);
        encode::copy_done(out);
        Ok(())
    });
    let rest = raw.until(tags::backend::READY);
    let wal = rest.iter().filter(|m| m[0] == tags::COPY_DATA && m[5] == b'w');
    received.extend(wal.map(|m| m[30..].to_vec()));
    raw.send(|out| {
        encode::terminate(out);
        Ok(())
    });
    received
}

/// What was written is what is told.
fn judge(cluster: &Cluster, messages: &[Vec<u8>]) {
    let mut decoder = Decoder::new();
    let told: Vec<Message<'_>> =
        messages.iter().map(|m| decoder.decode(m).expect("a message")).collect();
    for message in messages {
        let _ = content::logical(message);
    }
    assert!(!decoder.streaming());
    // Streamed blocks come first: their transaction began before the others were read.
    let mut plain: Vec<String> = Vec::new();
    for message in told.iter().filter(|message| message.xid.is_none()) {
        let Some(line) = brief(&message.event) else { continue };
        // The server describes a relation again whenever it forgot what it had said.
        let describes = matches!(message.event, Event::Relation(_) | Event::Type(_));
        if !describes || !plain.contains(&line) {
            plain.push(line);
        }
    }
    let wanted = [
        "type public.state",
        "relation public.orders Default id* note big state",
        "insert [1|one|20000 bytes|new]",
        "insert [2|NULL|NULL|paid]",
        "commit",
        "update [1|eins|same|new]",
        "commit",
        "update key [2|NULL|NULL|NULL] [20|NULL|NULL|paid]",
        "commit",
        "delete key [20|NULL|NULL|NULL]",
        "commit",
        "relation public.whole Full a* b*",
        "insert [7|x]",
        "commit",
        "update full [7|x] [7|y]",
        "commit",
        "delete full [7|y]",
        "commit",
        "truncate 2 cascade=true restart=true",
        "commit",
        "message exodus a token true",
        "commit",
    ];
    assert_eq!(&plain[..wanted.len()], &wanted[..], "{plain:#?}");
    let rest = plain[wanted.len()..].join("\n");
    for part in [
        "stream commit",
        "begin prepare first\ninsert [2|p]\nprepare first\ncommit prepared first",
        "begin prepare second\ninsert [3|q]\nprepare second\nrollback prepared second",
        "message end  true\ncommit",
    ] {
        assert!(rest.contains(part), "{part:?} in {rest}");
    }

    let count = |wanted: fn(&Message<'_>) -> bool| told.iter().filter(|m| wanted(m)).count();
    let blocks = count(|m| matches!(m.event, Event::StreamStart(_)));
    assert!(blocks > 1);
    assert_eq!(blocks, count(|m| matches!(m.event, Event::StreamStop)));
    let first = |m: &Message<'_>| matches!(m.event, Event::StreamStart(start) if start.first);
    assert_eq!(count(first), 1);
    // What was undone may have been told and then taken back; what stayed was told.
    let streamed = count(|m| m.xid.is_some() && matches!(m.event, Event::Insert { .. }));
    let undone = told.iter().find_map(|m| match m.event {
        Event::StreamAbort(abort) => Some(abort),
        _ => None,
    });
    assert!(undone.is_some_and(|abort| {
        abort.subxid != abort.xid && abort.at.is_some() == (cluster.major >= 16)
    }));
    assert!((3001..=6001).contains(&streamed), "{streamed}");
}

fn brief(event: &Event<'_>) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match event {
        Event::Relation(r) => {
            assert!(matches!(r.identity, ReplicaIdentity::Default | ReplicaIdentity::Full));
            let attribute = |a: wire_postgres::logical::Attribute<'_>| {
                format!(" {}{}", text(a.name), if a.key { "*" } else { "" })
            };
            let attributes: String = r.attributes().map(attribute).collect();
            format!("relation {}.{} {:?}{attributes}", text(r.schema), text(r.name), r.identity)
        }
        Event::Type(t) => format!("type {}.{}", text(t.schema), text(t.name)),
        Event::Insert { new, .. } => format!("insert {}", row(new)),
        Event::Update { old, new, .. } => match old {
            None => format!("update {}", row(new)),
            Some(old) => format!("update {} {}", old_row(old), row(new)),
        },
        Event::Delete { old, .. } => format!("delete {}", old_row(old)),
        Event::Truncate(t) => {
            let count = t.relations().count();
            format!("truncate {count} cascade={} restart={}", t.cascade, t.restart_identity)
        }
        Event::Message(m) => {
            format!("message {} {} {}", text(m.prefix), text(m.content), m.transactional)
        }
        Event::Commit(commit) => {
            assert!(commit.commit_lsn < commit.end_lsn);
            "commit".to_owned()
        }
        Event::StreamCommit(_) => "stream commit".to_owned(),
        Event::BeginPrepare(b) => format!("begin prepare {}", text(b.gid)),
        Event::Prepare(p) => format!("prepare {}", text(p.gid)),
        Event::CommitPrepared(p) => format!("commit prepared {}", text(p.gid)),
        Event::RollbackPrepared(p) => {
            assert!(p.prepared <= p.rolled_back && p.prepare_end_lsn < p.end_lsn);
            format!("rollback prepared {}", text(p.gid))
        }
        _ => return None,
    })
}

fn old_row(old: &OldRow<'_>) -> String {
    let kind = if matches!(old, OldRow::Key(_)) { "key" } else { "full" };
    format!("{kind} {}", row(&old.tuple()))
}

fn row(tuple: &Tuple<'_>) -> String {
    let values = tuple.values().map(|value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Unchanged => "same".to_owned(),
        Value::Text(text) if text.len() > 100 => format!("{} bytes", text.len()),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Binary(bytes) => format!("{} binary bytes", bytes.len()),
    });
    format!("[{}]", values.collect::<Vec<_>>().join("|"))
}
