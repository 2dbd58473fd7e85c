//! Ways in, from a client of our own encoders: requests for encryption, newer versions, kinds of
//! passwords; and what the other client does not use: function calls, portals, CopyFail.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bytes::BytesMut;
use tokio_postgres::NoTls;
use wire_postgres::auth::{Authentication, password};
use wire_postgres::encode::{self, BindMessage};
use wire_postgres::query::Target;
use wire_postgres::rows::{DataRow, function_result};
use wire_postgres::session::KeyData;
use wire_postgres::startup::{NegotiateVersion, Version};
use wire_postgres::{BackendPhase, BackendScanner, EncodeError, Scanned, split, tags};

use crate::cluster::Cluster;
use crate::tap::Tap;
use crate::{config, play};

/// A client of our own encoders that waits for what it needs.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) scanner: BackendScanner,
    pub(crate) unread: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
        Self { stream, scanner: BackendScanner::new(), unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, put: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) {
        let mut out = BytesMut::new();
        put(&mut out).expect("it can be written");
        self.stream.write_all(&out).expect("the server listens");
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        loop {
            if let Scanned::Whole(head) = self.scanner.scan(&self.unread).expect("in step") {
                self.scanner.taken(head.len);
                return self.unread.drain(..head.len).collect();
            }
            let mut buffer = [0; 16_384];
            let bytes = self.stream.read(&mut buffer).expect("the server speaks");
            assert_ne!(bytes, 0, "the server closed");
            self.unread.extend_from_slice(&buffer[..bytes]);
        }
    }

    /// Everything up to a message of this type, that one included.
    pub(crate) fn until(&mut self, tag: u8) -> Vec<Vec<u8>> {
        let mut all = vec![self.next()];
        while all.last().is_some_and(|last| last[0] != tag) {
            all.push(self.next());
        }
        all
    }
}

pub(crate) fn check(cluster: &Cluster) {
    passwords(cluster);
    ours(cluster);
}

/// Both kinds of passwords that are not SCRAM.
fn passwords(cluster: &Cluster) {
    let tap = Tap::start(cluster.port, 3);
    play(async {
        let enter = async |user: &str| {
            let mut config = config(&tap);
            let (client, connection) =
                config.user(user).password("secret").connect(NoTls).await.expect("let in");
            let background = tokio::spawn(connection);
            client.simple_query("SELECT 1").await.expect("ok");
            drop(client);
            background.await.expect("ended").expect("in step");
        };
        let (client, connection) = config(&tap).connect(NoTls).await.expect("let in");
        let background = tokio::spawn(connection);
        let roles = "CREATE ROLE open LOGIN SUPERUSER; CREATE ROLE plain LOGIN PASSWORD 'secret'; \
             SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN PASSWORD 'secret'";
        client.batch_execute(roles).await.expect("ok");
        drop(client);
        background.await.expect("ended").expect("in step");
        enter("plain").await;
        enter("hashed").await;
    });
    let recordings = tap.finish();
    let kinds = recordings[1..].iter().map(|recording| {
        let (asked, answered) = (recording.asked(1), recording.answered(0));
        let (_, body) = split(answered[0].1).expect("a message");
        let answer = password(split(asked[1].1).expect("a message").1).expect("a password");
        match Authentication::parse(body).expect("checked") {
            Authentication::Cleartext => answer == b"secret",
            Authentication::Md5 { .. } => answer.starts_with(b"md5") && answer.len() == 35,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [true, true]);

    let (asked, answered) = (recordings[0].asked(2), recordings[0].answered(0));
    let offered = answered.iter().take_while(|(tag, _)| *tag == b'R').map(|(_, message)| {
        match Authentication::parse(split(message).expect("a message").1).expect("checked") {
            Authentication::Sasl(offered) => offered.names().map(<[u8]>::to_vec).collect(),
            Authentication::SaslContinue(data) | Authentication::SaslFinal(data) => {
                vec![data[..2].to_vec()]
            }
            Authentication::Ok => vec![],
            other => panic!("{other:?}"),
        }
    });
    let wanted: [Vec<&[u8]>; 4] = [vec![b"SCRAM-SHA-256"], vec![b"r="], vec![b"v="], vec![]];
    assert_eq!(offered.collect::<Vec<_>>(), wanted);
    let first = split(asked[1].1).expect("a message").1;
    let first = wire_postgres::auth::SaslInitial::parse(first).expect("checked");
    assert_eq!(first.mechanism, b"SCRAM-SHA-256");
    assert!(first.response.is_some_and(|response| response.starts_with(b"n,,")));
}

/// The one byte that answers a request for encryption.
fn encryption(raw: &mut Raw, ask: fn(&mut BytesMut)) -> u8 {
    raw.send(|out| {
        ask(out);
        Ok(())
    });
    raw.scanner = BackendScanner::at(BackendPhase::Encryption);
    let answer = raw.next();
    assert_eq!((answer.len(), raw.scanner.phase()), (1, BackendPhase::Authentication));
    answer[0]
}

fn ours(cluster: &Cluster) {
    let tap = Tap::start(cluster.port, 2);
    // Whoever is told that GSSAPI is spoken has to speak it: this connection ends there.
    assert!(matches!(encryption(&mut Raw::connect(tap.port), encode::gssenc_request), b'G' | b'N'));
    let mut raw = Raw::connect(tap.port);
    assert_eq!(encryption(&mut raw, encode::ssl_request), b'N');
    let parameters: [(&[u8], &[u8]); 3] =
        [(b"user", b"open"), (b"database", b"postgres"), (b"_pq_.future", b"1")];
    raw.send(|out| encode::startup(out, Version::V3_2, &parameters));
    let told = raw.until(tags::backend::READY);
    let negotiated = told.iter().find(|m| m[0] == tags::backend::NEGOTIATE).expect("negotiation");
    let negotiated = NegotiateVersion::parse(&negotiated[5..]).expect("checked");
    let key = told.iter().find(|m| m[0] == tags::backend::KEY_DATA).expect("a cancel key");
    let key = KeyData::parse(&key[5..]).expect("checked").key;
    // PostgreSQL 18 speaks 3.2, and its keys are longer.
    let wanted = if cluster.major >= 18 { (Version::V3_2, 32) } else { (Version::V3_0, 4) };
    assert_eq!((negotiated.version, key.len()), wanted);
    assert_eq!(negotiated.options().collect::<Vec<_>>(), [b"_pq_.future"]);

    // A portal that is read in pieces, then closed; a statement that is described.
    raw.send(|out| {
        encode::parse(out, b"s", b"SELECT g FROM generate_series(1, $1) g", &[23])?;
        encode::describe(out, Target::Statement(b"s"))?;
        let values: [Option<&[u8]>; 1] = [Some(b"5")];
        let bind =
            BindMessage { portal: b"p", statement: b"s", values: &values, ..Default::default() };
        encode::bind(out, &bind)?;
        encode::execute(out, b"p", 3)?;
        encode::execute(out, b"p", 0)?;
        encode::close(out, Target::Portal(b"p"))?;
        encode::close(out, Target::Statement(b"s"))?;
        encode::flush(out);
        encode::sync(out);
        Ok(())
    });
    let told = raw.until(tags::backend::READY);
    let tags: Vec<u8> = told.iter().map(|message| message[0]).collect();
    assert_eq!(tags, b"1tT2DDDsDDC33Z");
    let numbers = told.iter().filter(|message| message[0] == b'D').map(|message| {
        let row = DataRow::parse(&message[5..]).expect("checked");
        row.values().next().flatten().map(<[u8]>::to_vec)
    });
    assert_eq!(numbers.flatten().collect::<Vec<_>>(), [b"1", b"2", b"3", b"4", b"5"]);

    // int4pl(integer, integer)
    raw.send(|out| encode::function_call(out, 177, 0, &[Some(b"40"), Some(b"2")]));
    let told = raw.until(tags::backend::READY);
    assert_eq!(function_result(&told[0][5..]), Ok(Some(&b"42"[..])));

    raw.send(|out| encode::query(out, b"COPY c FROM STDIN"));
    assert_eq!(raw.next()[0], tags::backend::COPY_IN);
    raw.send(|out| {
        encode::copy_data(out, b"1\tone\n")?;
        encode::copy_fail(out, b"changed my mind")
    });
    let told = raw.until(tags::backend::READY);
    let error = wire_postgres::notice::Notice::parse(&told[0][5..]).expect("checked");
    assert_eq!(error.sqlstate(), b"57014");
    assert!(error.message().ends_with(b"changed my mind"));
    raw.send(|out| encode::query(out, b""));
    assert_eq!(raw.until(tags::backend::READY)[0][0], tags::backend::EMPTY_QUERY);

    // Longer than a server accepts of this type: it ends the session with the text of ours.
    raw.stream.write_all(b"S\0\0\x27\x11").expect("sent");
    drop(raw.stream.shutdown(std::net::Shutdown::Write));
    let mut rest = Vec::new();
    drop(raw.stream.read_to_end(&mut rest));
    drop(raw);
    let recordings = tap.finish();
    assert_eq!(recordings[0].client.len(), 8);
    let recording = &recordings[1];
    let refused = crate::walk::walk(crate::walk::Client::new(0), &recording.client, &[], false);
    let length = wire_postgres::limits::SMALL_LENGTH_MAX + 1;
    assert_eq!(refused.1, Some(wire_postgres::FrameError::Length { tag: b'S', length }));
    assert!(recording.answered(1).len() > 20);
}
