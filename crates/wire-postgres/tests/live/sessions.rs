//! One session with everything in it, by a client that is not ours.

use std::collections::VecDeque;

use futures_util::future::{join_all, poll_fn};
use futures_util::{SinkExt as _, TryStreamExt as _, pin_mut};
use tokio_postgres::error::DbError;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{AsyncMessage, Client, NoTls, Row, SimpleQueryMessage};
use wire_postgres::command_tag::CommandTag;
use wire_postgres::notice::{Notice, field};
use wire_postgres::rows::{DataRow, ParameterDescription, RowDescription};
use wire_postgres::session::{KeyData, Notification, ParameterStatus, Transaction};
use wire_postgres::startup::StartupPacket;
use wire_postgres::{query, split};

use crate::cluster::{Cluster, OWNER};
use crate::tap::{Messages, Tap};
use crate::{config, play};

type Values = Vec<Option<Vec<u8>>>;

/// What the client saw, each kind in its order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    rows: Vec<Values>,
    columns: Vec<Vec<(String, u32)>>,
    parameters: Vec<Vec<u32>>,
    changed: Vec<u64>,
    /// SQLSTATE, message, detail, constraint.
    errors: Vec<[String; 4]>,
    notices: Vec<(String, String)>,
    notifications: Vec<(i32, String, String)>,
    copied: Vec<u8>,
    version: String,
}

/// A value as it came.
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(crate) fn check(cluster: &Cluster) {
    let tap = Tap::start(cluster.port, 2);
    let seen = play(session(&tap));
    let recordings = tap.finish();
    let [session, cancel] = &recordings[..] else { panic!("two connections") };
    let (asked, answered) = (session.asked(2), session.answered(0));
    assert_eq!(read(&answered), seen);
    ends_in_step(&asked, &answered);

    let StartupPacket::Cancel(request) = StartupPacket::parse(&cancel.client).expect("a packet")
    else {
        panic!("a cancel request")
    };
    let key = body(&answered, b'K').next().expect("a key");
    let key = KeyData::parse(key).expect("a key");
    assert_eq!((request.pid, request.key), (key.pid, key.key));
}

async fn session(tap: &Tap) -> Seen {
    let (client, mut connection) = config(tap).connect(NoTls).await.expect("let in");
    let mut seen = Seen {
        version: connection.parameter("server_version").expect("reported").to_owned(),
        ..Seen::default()
    };
    let (tell, mut told) = tokio::sync::mpsc::channel(64);
    let background = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            tell.send(message.expect("in step")).await.expect("somebody listens");
        }
    });
    simple(&client, &mut seen).await;
    extended(&client, &mut seen).await;
    copies(&client, &mut seen).await;
    mistakes(&client, &mut seen).await;
    client.batch_execute("LISTEN news").await.expect("listens");
    client.batch_execute("NOTIFY news, 'of today'; NOTIFY news").await.expect("notifies");
    seen.changed.extend([0, 0, 0]);
    client.cancel_token().cancel_query(NoTls).await.expect("asked to cancel what is not there");
    drop(client);
    background.await.expect("ended");
    while let Some(message) = told.recv().await {
        match message {
            AsyncMessage::Notice(notice) => {
                seen.notices.push((notice.code().code().to_owned(), notice.message().to_owned()));
            }
            AsyncMessage::Notification(said) => {
                let (channel, payload) = (said.channel().to_owned(), said.payload().to_owned());
                seen.notifications.push((said.process_id(), channel, payload));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((seen.notices.len(), seen.notifications.len()), (2, 2));
    seen
}

async fn simple(client: &Client, seen: &mut Seen) {
    let text = "CREATE TABLE t (id int PRIMARY KEY, note text, image bytea); \
         INSERT INTO t SELECT g, repeat('ä', g), NULL FROM generate_series(1, 300) g; \
         SELECT * FROM t ORDER BY id; ; UPDATE t SET note = NULL WHERE id < 10; \
         DO $$ BEGIN RAISE NOTICE 'first'; RAISE WARNING 'second' USING ERRCODE = '01ABC'; END $$; \
         DELETE FROM t WHERE id = 300; SELECT 1 AS one WHERE false";
    for message in client.simple_query(text).await.expect("it works") {
        match message {
            SimpleQueryMessage::Row(row) => {
                let value = |at| row.get(at).map(|text: &str| text.as_bytes().to_vec());
                seen.rows.push((0..row.len()).map(value).collect());
            }
            SimpleQueryMessage::CommandComplete(rows) => seen.changed.push(rows),
            SimpleQueryMessage::RowDescription(columns) => {
                // A simple query's columns have no types in this client: 0 stands for any.
                let names = columns.iter().map(|c| (c.name().to_owned(), 0)).collect();
                seen.columns.push(names);
            }
            _ => panic!("nothing else is known"),
        }
    }
}

fn keep(seen: &mut Seen, rows: &[Row]) {
    for row in rows {
        let value = |at| row.get::<_, Option<Raw>>(at).map(|raw| raw.0);
        seen.rows.push((0..row.len()).map(value).collect());
    }
}

/// A prepared statement's parameters and columns.
fn described(seen: &mut Seen, statement: &tokio_postgres::Statement) {
    seen.parameters.push(statement.params().iter().map(Type::oid).collect());
    if !statement.columns().is_empty() {
        let column = |c: &tokio_postgres::Column| (c.name().to_owned(), c.type_().oid());
        seen.columns.push(statement.columns().iter().map(column).collect());
    }
}

async fn extended(client: &Client, seen: &mut Seen) {
    let put = client.prepare("UPDATE t SET image = $2, note = $3 WHERE id = $1").await.expect("ok");
    described(seen, &put);
    for (id, image) in [(5, Some(vec![0u8, 255, 1])), (6, None), (999, Some(vec![0; 40_000]))] {
        let changed =
            client.execute(&put, &[&id, &image, &Option::<&str>::None]).await.expect("ok");
        seen.changed.push(changed);
    }
    let get = client.prepare("SELECT * FROM t WHERE id = $1").await.expect("ok");
    described(seen, &get);
    // All on their way before the first answer.
    let ids: Vec<i32> = (1..=60).collect();
    let params: Vec<[&(dyn tokio_postgres::types::ToSql + Sync); 1]> =
        ids.iter().map(|id| [id as _]).collect();
    for rows in join_all(params.iter().map(|p| client.query(&get, p))).await {
        let rows = rows.expect("ok");
        keep(seen, &rows);
        seen.changed.push(rows.len() as u64);
    }
    let large = client.prepare("SELECT repeat('x', $1)").await.expect("ok");
    described(seen, &large);
    keep(seen, &client.query(&large, &[&3_000_000]).await.expect("ok"));
    seen.changed.push(1);
}

async fn copies(client: &Client, seen: &mut Seen) {
    client.batch_execute("CREATE TABLE c (id int, note text)").await.expect("ok");
    seen.changed.push(0);
    let copy = client.prepare("COPY c FROM STDIN").await.expect("ok");
    described(seen, &copy);
    let sink = client.copy_in(&copy).await.expect("ok");
    pin_mut!(sink);
    for id in 0..500 {
        let line = bytes::Bytes::from(format!("{id}\tline {id}\n"));
        sink.send(line).await.expect("taken");
    }
    seen.changed.push(sink.finish().await.expect("ok"));
    for text in ["COPY c TO STDOUT", "COPY t TO STDOUT (FORMAT binary)"] {
        let copy = client.prepare(text).await.expect("ok");
        described(seen, &copy);
        let rows = client.copy_out(&copy).await.expect("ok");
        let pieces: Vec<bytes::Bytes> = rows.try_collect().await.expect("all of it");
        seen.copied.extend(pieces.concat());
    }
    seen.changed.extend([500, 299]);
}

async fn mistakes(client: &Client, seen: &mut Seen) {
    let mut failed = |error: tokio_postgres::Error| {
        let error: &DbError = error.as_db_error().expect("the server's own");
        seen.errors.push([
            error.code().code().to_owned(),
            error.message().to_owned(),
            error.detail().unwrap_or_default().to_owned(),
            error.constraint().unwrap_or_default().to_owned(),
        ]);
    };
    failed(client.simple_query("SELEC 1").await.expect_err("no such verb"));
    failed(
        client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.expect_err("there is one"),
    );
    failed(client.batch_execute("SELECT 1").await.expect_err("in a failed transaction"));
    client.batch_execute("ROLLBACK").await.expect("ok");
    failed(client.prepare("SELECT missing").await.expect_err("no such column"));
    let divide = client.prepare("SELECT 1 / $1").await.expect("ok");
    failed(client.query(&divide, &[&0]).await.expect_err("a division by zero"));
    described(seen, &divide);
    // BEGIN of the second, ROLLBACK.
    seen.changed.extend([0, 0]);
}

fn body<'a>(messages: &'a Messages<'_>, wanted: u8) -> impl Iterator<Item = &'a [u8]> {
    messages
        .iter()
        .filter(move |(tag, _)| *tag == wanted)
        .map(|(_, message)| split(message).expect("a whole message").1)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The same, read from the server's bytes.
fn read(answered: &Messages<'_>) -> Seen {
    let mut seen = Seen::default();
    for row in body(answered, b'D') {
        let row = DataRow::parse(row).expect("checked");
        seen.rows.push(row.values().map(|value| value.map(<[u8]>::to_vec)).collect());
    }
    let mut prepared = false;
    for (tag, message) in answered {
        let (_, body) = split(message).expect("a whole message");
        match tag {
            b't' => {
                prepared = true;
                let types = ParameterDescription::parse(body).expect("checked").types().collect();
                seen.parameters.push(types);
            }
            b'n' => prepared = false,
            b'T' => {
                let columns = RowDescription::parse(body).expect("checked");
                let oid = |oid| if prepared { oid } else { 0 };
                let columns = columns.columns().map(|c| (text(c.name), oid(c.type_oid)));
                seen.columns.push(columns.collect());
                prepared = false;
            }
            b'C' => {
                let tag = CommandTag::parse(body).expect("checked");
                seen.changed.push(tag.rows().unwrap_or(0));
            }
            b'I' => seen.changed.push(0),
            b'd' => seen.copied.extend_from_slice(body),
            b'S' => {
                let status = ParameterStatus::parse(body).expect("checked");
                if status.name == b"server_version" {
                    seen.version = text(status.value);
                }
            }
            _ => {}
        }
    }
    for error in body(answered, b'E') {
        let error = Notice::parse(error).expect("checked");
        let get = |letter| text(error.get(letter).unwrap_or_default());
        seen.errors.push([
            text(error.sqlstate()),
            text(error.message()),
            get(field::DETAIL),
            get(field::CONSTRAINT),
        ]);
    }
    for notice in body(answered, b'N') {
        let notice = Notice::parse(notice).expect("checked");
        seen.notices.push((text(notice.sqlstate()), text(notice.message())));
    }
    for said in body(answered, b'A') {
        let said = Notification::parse(said).expect("checked");
        let pid = i32::try_from(said.pid).expect("a process");
        seen.notifications.push((pid, text(said.channel), text(said.payload)));
    }
    seen
}

/// One ReadyForQuery for what began the session, and for each simple query and each Sync; but
/// for a Sync that reaches a server which wants COPY data: it passes over that.
fn ends_in_step(asked: &Messages<'_>, answered: &Messages<'_>) {
    let steps = asked.iter().filter(|(tag, _)| matches!(tag, b'Q' | b'S')).count();
    let passed_over = asked.windows(2).filter(|w| (w[0].0, w[1].0) == (b'S', b'd')).count();
    assert_eq!(passed_over, 1);
    let ready: Vec<Transaction> =
        body(answered, b'Z').map(|body| Transaction::parse(body).expect("checked")).collect();
    assert_eq!(ready.len(), steps + 1 - passed_over);
    assert!(ready.contains(&Transaction::Failed));
    assert_eq!(ready.last(), Some(&Transaction::Idle));

    let StartupPacket::Startup(startup) = StartupPacket::parse(asked[0].1).expect("checked") else {
        panic!("a startup message")
    };
    assert_eq!(startup.get("user"), Some(OWNER.as_bytes()));
    // Every Bind names a statement that was prepared, and every portal is the one bound last.
    let mut statements = VecDeque::new();
    for (tag, message) in asked {
        let (_, body) = match tag {
            0 => continue,
            _ => split(message).expect("a whole message"),
        };
        match tag {
            b'P' => {
                statements.push_back(query::ParseMessage::parse(body).expect("checked").statement)
            }
            b'B' => {
                let bind = query::Bind::parse(body).expect("checked");
                assert!(statements.contains(&bind.statement));
                assert_eq!(bind.value_formats.of(0), i16::from(!bind.value_formats.is_empty()));
            }
            _ => {}
        }
    }
}
