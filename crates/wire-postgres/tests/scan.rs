//! However a stream is cut, the scanners find the same messages; no input makes scanners or views
//! panic; messages of any size pass in parts.

#[path = "look/content.rs"]
mod content;
#[path = "look/walk.rs"]
mod walk;

use bytes::BytesMut;
use proptest::prelude::*;
use walk::{Client, walk};
use wire_postgres::encode::{self, BindMessage, Report, Severity};
use wire_postgres::query::Target;
use wire_postgres::replication::Status;
use wire_postgres::rows::Column;
use wire_postgres::session::Transaction;
use wire_postgres::startup::Version;
use wire_postgres::{
    BackendPhase, BackendScanner, FrameError, FrontendPhase, FrontendScanner, Head, Scanned,
    limits, tags,
};

fn write(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(&mut out);
    out.to_vec()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..12)
}

fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..30)), 0..6)
}

fn slices(values: &[Option<Vec<u8>>]) -> Vec<Option<&[u8]>> {
    values.iter().map(Option::as_deref).collect()
}

/// A message of a client's session.
fn asked() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        name().prop_map(|q| write(|o| encode::query(o, &q).expect("fits"))),
        (name(), name(), prop::collection::vec(any::<u32>(), 0..4))
            .prop_map(|(s, q, t)| write(|o| encode::parse(o, &s, &q, &t).expect("fits"))),
        (name(), name(), values(), prop::collection::vec(0i16..2, 0..3)).prop_map(
            |(portal, statement, values, formats)| write(|o| {
                let bind = BindMessage {
                    portal: &portal,
                    statement: &statement,
                    value_formats: &formats,
                    values: &slices(&values),
                    result_formats: &formats,
                };
                encode::bind(o, &bind).expect("fits");
            })
        ),
        name().prop_map(|n| write(|o| encode::describe(o, Target::Portal(&n)).expect("fits"))),
        name().prop_map(|n| write(|o| encode::close(o, Target::Statement(&n)).expect("fits"))),
        (name(), any::<i32>())
            .prop_map(|(n, rows)| write(|o| encode::execute(o, &n, rows).expect("fits"))),
        (any::<u32>(), values()).prop_map(|(f, v)| write(|o| encode::function_call(
            o,
            f,
            1,
            &slices(&v)
        )
        .expect("fits"))),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|d| write(|o| encode::copy_data(o, &d).expect("fits"))),
        name().prop_map(|n| write(|o| encode::copy_fail(o, &n).expect("fits"))),
        any::<bool>().prop_map(|reply_now| write(|o| {
            encode::standby_status(o, &Status { reply_now, ..Status::default() });
        })),
        Just(write(encode::copy_done)),
        Just(write(encode::sync)),
        Just(write(encode::flush)),
    ]
}

/// A message of a server's session.
fn answered() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (name(), name())
            .prop_map(|(n, v)| write(|o| encode::parameter_status(o, &n, &v).expect("fits"))),
        prop::sample::select(vec![Transaction::Idle, Transaction::Open, Transaction::Failed])
            .prop_map(|t| write(|o| encode::ready_for_query(o, t))),
        (name(), name(), name()).prop_map(|(message, detail, hint)| write(|o| {
            let report = Report {
                severity: Severity::Error,
                sqlstate: "08P01",
                message: &message,
                detail: &detail,
                hint: &hint,
            };
            encode::error(o, &report).expect("fits");
            encode::notice(o, &report).expect("fits");
        })),
        (any::<u32>(), prop::collection::vec(any::<u8>(), 4..40))
            .prop_map(|(p, k)| write(|o| encode::backend_key_data(o, p, &k).expect("fits"))),
        (any::<u32>(), name(), name())
            .prop_map(|(p, c, t)| write(|o| encode::notification(o, p, &c, &t).expect("fits"))),
        prop::collection::vec(name(), 0..4).prop_map(|names| write(|o| {
            let column = |name| Column {
                name,
                table: 1,
                attribute: 2,
                type_oid: 23,
                type_len: 4,
                type_mod: -1,
                format: 0,
            };
            let columns: Vec<Column<'_>> = names.iter().map(|n| column(&n[..])).collect();
            encode::row_description(o, &columns).expect("fits");
        })),
        values().prop_map(|v| write(|o| encode::data_row(o, &slices(&v)).expect("fits"))),
        name().prop_map(|t| write(|o| encode::command_complete(o, &t).expect("fits"))),
        prop::collection::vec(any::<u32>(), 0..5)
            .prop_map(|t| write(|o| encode::parameter_description(o, &t).expect("fits"))),
        prop::option::of(name())
            .prop_map(|v| write(|o| encode::function_result(o, v.as_deref()).expect("fits"))),
        (prop::sample::select(b"GHW".to_vec()), any::<bool>(), 0usize..5)
            .prop_map(|(t, b, n)| write(|o| encode::copy_start(o, t, b, n).expect("fits"))),
        prop::collection::vec(any::<u8>(), 0..300)
            .prop_map(|d| write(|o| encode::copy_data(o, &d).expect("fits"))),
        prop::sample::select(b"123nIs".to_vec())
            .prop_map(|t| write(|o| encode::bare(o, t).expect("fits"))),
        Just(write(encode::copy_done)),
    ]
}

/// What a client sends before its session, and how many messages that is.
fn knocks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (any::<bool>(), name(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(
        |(asks, value, proof)| {
            let mut out = Vec::new();
            if asks {
                out.push(write(encode::gssenc_request));
                out.push(write(encode::ssl_request));
            }
            let parameters: [(&[u8], &[u8]); 2] = [(b"user", &value), (b"_pq_.x", b"")];
            out.push(write(|o| encode::startup(o, Version::V3_2, &parameters).expect("fits")));
            out.push(write(|o| {
                encode::sasl_initial(o, b"SCRAM-SHA-256", Some(&proof)).expect("fits");
            }));
            out
        },
    )
}

/// What a server sends before the session.
fn admission() -> Vec<Vec<u8>> {
    vec![
        write(|o| encode::negotiate_version(o, Version::V3_0, &[b"_pq_.x"]).expect("fits")),
        write(|o| encode::authentication_sasl(o, &[b"SCRAM-SHA-256"]).expect("fits")),
        write(|o| encode::authentication_sasl_continue(o, b"r=1").expect("fits")),
        write(|o| encode::authentication_sasl_final(o, b"v=1").expect("fits")),
        write(encode::authentication_ok),
    ]
}

fn ends(messages: &[Vec<u8>]) -> Vec<usize> {
    let mut end = 0;
    // Some strategies write two messages at once.
    messages
        .iter()
        .flat_map(|bytes| {
            let mut rest = &bytes[..];
            let mut sizes = Vec::new();
            while !rest.is_empty() {
                let skip = usize::from(rest[0] != 0);
                let word = rest[skip..skip + 4].try_into().expect("fits");
                let len = u32::from_be_bytes(word) as usize + skip;
                sizes.push(len);
                rest = &rest[len..];
            }
            sizes
        })
        .map(|len| {
            end += len;
            end
        })
        .collect()
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..40)
}

/// A byte changed here and there.
fn harmed() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>()), 0..4)
}

fn harm(stream: &mut [u8], harms: &[(usize, u8)]) {
    for (at, byte) in harms {
        let at = at % stream.len();
        stream[at] = *byte;
    }
}

proptest! {
    #[test]
    fn a_clients_messages_end_where_they_were_written_to(
        knocks in knocks(), asked in prop::collection::vec(asked(), 0..15), cuts in cuts(), parts: bool,
    ) {
        let messages = [knocks, asked].concat();
        let (found, error) = walk(Client::new(1), &messages.concat(), &cuts, parts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found.iter().map(|(_, end)| *end).collect::<Vec<_>>(), ends(&messages));
    }

    #[test]
    fn a_servers_messages_end_where_they_were_written_to(
        answered in prop::collection::vec(answered(), 0..15), cuts in cuts(), parts: bool,
    ) {
        let messages = [admission(), answered].concat();
        let (found, error) = walk(BackendScanner::new(), &messages.concat(), &cuts, parts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found.iter().map(|(_, end)| *end).collect::<Vec<_>>(), ends(&messages));
    }

    #[test]
    fn harmed_streams_are_read_alike_however_cut(
        knocks in knocks(), asked in prop::collection::vec(asked(), 0..10),
        answered in prop::collection::vec(answered(), 0..10),
        harms in harmed(), cuts in cuts(), parts: bool,
    ) {
        let mut stream = [knocks, asked].concat().concat();
        harm(&mut stream, &harms);
        let whole = walk(Client::new(1), &stream, &[], false);
        prop_assert_eq!(&walk(Client::new(1), &stream, &cuts, parts), &whole);
        look(&stream, &whole.0, content::frontend);

        let mut stream = [admission(), answered].concat().concat();
        harm(&mut stream, &harms);
        for phase in [BackendPhase::Encryption, BackendPhase::Authentication, BackendPhase::Session] {
            let whole = walk(BackendScanner::at(phase), &stream, &[], false);
            prop_assert_eq!(&walk(BackendScanner::at(phase), &stream, &cuts, parts), &whole);
            look(&stream, &whole.0, content::backend);
        }
    }

    #[test]
    fn no_input_panics(
        tag in any::<u8>(), body in prop::collection::vec(
            prop_oneof![3 => 0u8..4, 1 => any::<u8>(), 1 => prop::sample::select(b"ntubNKOSP".to_vec())],
            0..120,
        ), cuts in cuts(),
    ) {
        let head = (body.len() as u32 + 4).to_be_bytes();
        let stream = [&[tag][..], &head, &body].concat();
        for phase in [FrontendPhase::Startup, FrontendPhase::Authentication, FrontendPhase::Session,
            FrontendPhase::CopyIn, FrontendPhase::CopyBoth]
        {
            let whole = walk(Client { scanner: FrontendScanner::at(phase), answers: 1 }, &stream, &[], false);
            prop_assert_eq!(&walk(Client { scanner: FrontendScanner::at(phase), answers: 1 }, &stream, &cuts, true), &whole);
            look(&stream, &whole.0, content::frontend);
        }
        let whole = walk(BackendScanner::at(BackendPhase::Session), &stream, &[], false);
        look(&stream, &whole.0, content::backend);
        let packet = [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat();
        let _ = content::startup(&packet);
        let _ = content::logical(&body);
    }
}

/// Views of everything that was found. They may refuse it.
fn look(
    stream: &[u8],
    found: &[(u8, usize)],
    view: impl Fn(&[u8]) -> Result<(), wire_postgres::MessageError>,
) {
    let mut from = 0;
    for (tag, end) in found {
        let message = &stream[from..*end];
        match tag {
            &tags::STARTUP => drop(content::startup(message)),
            _ if message.len() == 1 => {}
            _ => drop(view(message)),
        }
        from = *end;
    }
}

fn head(tag: u8, length: u32) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes()].concat()
}

#[test]
fn lengths_have_the_bounds_of_server_and_libpq() {
    let session =
        |tag, length| FrontendScanner::at(FrontendPhase::Session).scan(&head(tag, length));
    for (tag, max) in [
        (b'Q', limits::LARGE_LENGTH_MAX),
        (b'd', limits::LARGE_LENGTH_MAX),
        (b'S', limits::SMALL_LENGTH_MAX),
        (b'E', limits::SMALL_LENGTH_MAX),
    ] {
        let len = max as usize + 1;
        assert_eq!(session(tag, max), Ok(Scanned::Begun(Head { tag, len })));
        for length in [0, 3, max + 1, u32::MAX] {
            assert_eq!(session(tag, length), Err(FrameError::Length { tag, length }));
        }
    }
    assert_eq!(session(b'p', 8), Err(FrameError::FrontendType(b'p')));
    assert_eq!(session(0, 8), Err(FrameError::FrontendType(0)));
    let answer = |tag, length| BackendScanner::at(BackendPhase::Session).scan(&head(tag, length));
    assert!(answer(b'D', i32::MAX as u32).is_ok());
    assert!(answer(b'D', i32::MAX as u32 + 1).is_err());
    assert!(answer(b't', limits::PARAMETERS_LENGTH_MAX).is_ok());
    assert!(answer(b'Z', limits::REPLY_SHORT_LENGTH_MAX + 1).is_err());
    assert_eq!(BackendScanner::new().scan(b"D"), Err(FrameError::BackendType(b'D')));
}

#[test]
fn startup_packets_have_bounds_and_tls_is_seen() {
    for (length, fits) in [(0, false), (7, false), (8, true), (10_004, true), (10_005, false)] {
        let packet = [length, Version::V3_0.0].map(u32::to_be_bytes).concat();
        assert_eq!(FrontendScanner::new().scan(&packet).is_ok(), fits, "{length}");
    }
    assert_eq!(FrontendScanner::new().scan(&[0x16, 3, 1]), Err(FrameError::DirectTls));
    assert_eq!(FrontendScanner::new().scan(&[0, 0]), Ok(Scanned::More));
}

#[test]
fn a_gigabyte_passes_through_a_small_buffer() {
    let mut stream = BytesMut::new();
    let size = limits::LARGE_LENGTH_MAX as usize - 4;
    encode::copy_data_head(&mut stream, size).expect("fits");
    assert_eq!(
        encode::copy_data_head(&mut stream, size + 1),
        Err(wire_postgres::EncodeError::TooLong)
    );
    let piece = [0u8; 8192];
    for frontend in [true, false] {
        let (mut front, mut back) = (
            FrontendScanner::at(FrontendPhase::Session),
            BackendScanner::at(BackendPhase::Session),
        );
        let scan = |front: &mut FrontendScanner, back: &mut BackendScanner, input: &[u8]| {
            let scanned = if frontend { front.scan(input) } else { back.scan(input) };
            match scanned.expect("fits") {
                Scanned::Begun(_) => (input.len(), false),
                Scanned::Rest { tag: tags::COPY_DATA, bytes, done } => (bytes, done),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(scan(&mut front, &mut back, &stream), (5, false));
        front.taken(5);
        back.taken(5);
        let mut seen = 0;
        loop {
            let (bytes, done) = scan(&mut front, &mut back, &piece);
            front.taken(bytes);
            back.taken(bytes);
            seen += bytes;
            if done {
                break;
            }
        }
        assert_eq!(seen, size);
        assert!(front.between() && back.between());
    }
}
