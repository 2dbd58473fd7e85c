//! What is written is what is read; what cannot be written leaves nothing behind.

use bytes::BytesMut;
use proptest::prelude::*;
use wire_postgres::auth::{Authentication, SaslInitial, password};
use wire_postgres::command_tag::CommandTag;
use wire_postgres::copy::CopyStart;
use wire_postgres::encode::{self, BindMessage, Report, Severity};
use wire_postgres::notice::{Notice, field};
use wire_postgres::query::{Bind, Execute, FunctionCall, ParseMessage, Target, text};
use wire_postgres::replication::{FromClient, Status};
use wire_postgres::rows::{Column, DataRow, ParameterDescription, RowDescription};
use wire_postgres::session::{KeyData, Notification, ParameterStatus, Transaction};
use wire_postgres::startup::{Cancel, NegotiateVersion, StartupPacket, Version};
use wire_postgres::{EncodeError, Lsn, Micros, split};

/// Type and content of the one message that `put` writes.
fn one(put: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> (u8, Vec<u8>) {
    let mut out = BytesMut::new();
    put(&mut out).expect("it can be written");
    let (tag, body) = split(&out).expect("one whole message");
    (tag, body.to_vec())
}

fn text_without_nul() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8..=255, 0..40)
}

fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..50)), 0..8)
}

fn slices(values: &[Option<Vec<u8>>]) -> Vec<Option<&[u8]>> {
    values.iter().map(Option::as_deref).collect()
}

proptest! {
    #[test]
    fn extended_queries(
        a in text_without_nul(), b in text_without_nul(), values in values(), rows: i32,
        formats in prop::collection::vec(0i16..2, 0..9), types: Vec<u32>, oid: u32,
    ) {
        let (tag, body) = one(|o| encode::parse(o, &a, &b, &types));
        let read = ParseMessage::parse(&body).unwrap();
        prop_assert_eq!((tag, read.statement, read.query), (b'P', &a[..], &b[..]));
        prop_assert_eq!(read.types().collect::<Vec<_>>(), types);

        let bind = BindMessage {
            portal: &a, statement: &b, value_formats: &formats, values: &slices(&values),
            result_formats: &formats,
        };
        let (tag, body) = one(|o| encode::bind(o, &bind));
        let read = Bind::parse(&body).unwrap();
        prop_assert_eq!((tag, read.portal, read.statement), (b'B', &a[..], &b[..]));
        prop_assert_eq!(read.values().collect::<Vec<_>>(), slices(&values));
        prop_assert_eq!(read.value_formats.codes().collect::<Vec<_>>(), formats.clone());
        for place in 0..10 {
            let wanted = match formats.len() { 0 => 0, 1 => formats[0], _ => formats.get(place).copied().unwrap_or(0) };
            prop_assert_eq!(read.result_formats.of(place), wanted);
        }

        let (tag, body) = one(|o| encode::execute(o, &a, rows));
        prop_assert_eq!((tag, Execute::parse(&body).unwrap()), (b'E', Execute { portal: &a, rows_max: rows }));
        for target in [Target::Portal(&a), Target::Statement(&b)] {
            let (tag, body) = one(|o| encode::describe(o, target));
            prop_assert_eq!((tag, Target::parse(&body).unwrap()), (b'D', target));
            let (tag, body) = one(|o| encode::close(o, target));
            prop_assert_eq!((tag, Target::parse(&body).unwrap()), (b'C', target));
        }
        let (tag, body) = one(|o| encode::function_call(o, oid, 1, &slices(&values)));
        let read = FunctionCall::parse(&body).unwrap();
        prop_assert_eq!((tag, read.function, read.result_format), (b'F', oid, 1));
        prop_assert_eq!(read.arguments().collect::<Vec<_>>(), slices(&values));
        let (tag, body) = one(|o| encode::query(o, &a));
        prop_assert_eq!((tag, text(&body).unwrap()), (b'Q', &a[..]));
    }

    #[test]
    fn results(
        names in prop::collection::vec(text_without_nul(), 0..6), values in values(),
        table: u32, type_oid: u32, attribute: i16, type_len: i16, type_mod: i32, types: Vec<u32>,
        rows: u64, binary: bool,
    ) {
        let columns: Vec<Column<'_>> = names.iter().map(|name| Column {
            name, table, attribute, type_oid, type_len, type_mod, format: i16::from(binary),
        }).collect();
        let (_, body) = one(|o| encode::row_description(o, &columns));
        prop_assert_eq!(RowDescription::parse(&body).unwrap().columns().collect::<Vec<_>>(), columns);
        let (_, body) = one(|o| encode::data_row(o, &slices(&values)));
        prop_assert_eq!(DataRow::parse(&body).unwrap().values().collect::<Vec<_>>(), slices(&values));
        let (_, body) = one(|o| encode::parameter_description(o, &types));
        prop_assert_eq!(ParameterDescription::parse(&body).unwrap().types().collect::<Vec<_>>(), types);
        let (_, body) = one(|o| encode::command_complete(o, format!("INSERT 0 {rows}").as_bytes()));
        let tag = CommandTag::parse(&body).unwrap();
        prop_assert_eq!((tag.command(), tag.rows()), (&b"INSERT"[..], Some(rows)));
        let (_, body) = one(|o| encode::copy_start(o, b'W', binary, names.len()));
        let read = CopyStart::parse(&body).unwrap();
        prop_assert_eq!((read.binary, read.formats().count()), (binary, names.len()));
    }

    #[test]
    fn sessions(a in text_without_nul(), b in text_without_nul(), pid: u32,
        key in prop::collection::vec(any::<u8>(), 4..=256), proof: Vec<u8>, lsns: [u64; 3], clock: i64, reply_now: bool,
    ) {
        let (_, body) = one(|o| encode::backend_key_data(o, pid, &key));
        prop_assert_eq!(KeyData::parse(&body).unwrap(), KeyData { pid, key: &key });
        let mut out = BytesMut::new();
        encode::cancel_request(&mut out, pid, &key).unwrap();
        let StartupPacket::Cancel(cancel) = StartupPacket::parse(&out).unwrap() else { panic!("cancel") };
        prop_assert_eq!(cancel, Cancel { pid, key: &key });

        let name = [b"x", &a[..]].concat();
        out.clear();
        encode::startup(&mut out, Version::V3_2, &[(&name, &b), (b"user", &a)]).unwrap();
        let StartupPacket::Startup(startup) = StartupPacket::parse(&out).unwrap() else { panic!("startup") };
        prop_assert_eq!(startup.version, Version::V3_2);
        prop_assert_eq!(startup.parameters().collect::<Vec<_>>(), [(&name[..], &b[..]), (b"user", &a[..])]);

        let (_, body) = one(|o| encode::negotiate_version(o, Version::V3_0, &[&name]));
        let read = NegotiateVersion::parse(&body).unwrap();
        prop_assert_eq!((read.version, read.options().collect::<Vec<_>>()), (Version::V3_0, vec![&name[..]]));
        let (_, body) = one(|o| encode::parameter_status(o, &a, &b));
        prop_assert_eq!(ParameterStatus::parse(&body).unwrap(), ParameterStatus { name: &a, value: &b });
        let (_, body) = one(|o| encode::notification(o, pid, &a, &b));
        prop_assert_eq!(Notification::parse(&body).unwrap(), Notification { pid, channel: &a, payload: &b });

        let (_, body) = one(|o| encode::authentication_sasl(o, &[&name, b"y"]));
        let Authentication::Sasl(offered) = Authentication::parse(&body).unwrap() else { panic!("sasl") };
        prop_assert_eq!(offered.names().collect::<Vec<_>>(), [&name[..], b"y"]);
        let (_, body) = one(|o| encode::sasl_initial(o, &a, Some(&proof)));
        prop_assert_eq!(SaslInitial::parse(&body).unwrap(), SaslInitial { mechanism: &a, response: Some(&proof) });
        let (_, body) = one(|o| encode::password(o, &a));
        prop_assert_eq!(password(&body).unwrap(), &a[..]);

        let status = Status { written: Lsn(lsns[0]), flushed: Lsn(lsns[1]), applied: Lsn(lsns[2]), clock: Micros(clock), reply_now };
        let (tag, body) = one(|o| { encode::standby_status(o, &status); Ok(()) });
        prop_assert_eq!((tag, FromClient::parse(&body).unwrap()), (b'd', FromClient::Status(status)));
        prop_assert_eq!(Lsn(lsns[0]).to_string().parse(), Ok(Lsn(lsns[0])));
    }

    #[test]
    fn reports(message in text_without_nul(), detail in text_without_nul(), hint in text_without_nul()) {
        let report = Report { severity: Severity::Fatal, sqlstate: "57P01", message: &message, detail: &detail, hint: &hint };
        let (tag, body) = one(|o| encode::error(o, &report));
        let read = Notice::parse(&body).unwrap();
        prop_assert_eq!((tag, read.severity(), read.sqlstate(), read.message()), (b'E', &b"FATAL"[..], &b"57P01"[..], &message[..]));
        prop_assert!(read.ends_session());
        prop_assert_eq!(read.get(field::DETAIL).unwrap_or_default(), &detail[..]);
        prop_assert_eq!(read.get(field::HINT).unwrap_or_default(), &hint[..]);
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let mut out = BytesMut::from(&b"before"[..]);
    let long = vec![b'x'; 10_000];
    let many = vec![None; 65_536];
    let report = |sqlstate| Report {
        severity: Severity::Error,
        sqlstate,
        message: b"m",
        detail: b"",
        hint: b"",
    };
    for (refused, why) in [
        (encode::query(&mut out, b"select\0 1"), EncodeError::Nul),
        (encode::execute(&mut out, &long, 0), EncodeError::TooLong),
        (encode::copy_fail(&mut out, &long), EncodeError::TooLong),
        (encode::data_row(&mut out, &many), EncodeError::TooMany),
        (
            encode::startup(&mut out, Version::V3_0, &[(b"", b"x")]),
            EncodeError::Value("empty name"),
        ),
        (encode::startup(&mut out, Version::V3_0, &[(b"user", &long)]), EncodeError::TooLong),
        (encode::cancel_request(&mut out, 1, b"abc"), EncodeError::Value("cancel key")),
        (encode::backend_key_data(&mut out, 1, &[0; 257]), EncodeError::Value("cancel key")),
        (encode::error(&mut out, &report("0a000")), EncodeError::Value("SQLSTATE")),
        (encode::notice(&mut out, &report("")), EncodeError::Value("SQLSTATE")),
        (encode::bare(&mut out, b'D'), EncodeError::Value("type of a message without content")),
    ] {
        assert_eq!(refused, Err(why));
    }
    assert_eq!(out, &b"before"[..]);
}

#[test]
fn small_messages_are_what_the_documentation_says() {
    let mut out = BytesMut::new();
    encode::sync(&mut out);
    encode::flush(&mut out);
    encode::terminate(&mut out);
    encode::copy_done(&mut out);
    encode::authentication_ok(&mut out);
    encode::ready_for_query(&mut out, Transaction::Open);
    encode::ssl_request(&mut out);
    let wanted = b"S\0\0\0\x04H\0\0\0\x04X\0\0\0\x04c\0\0\0\x04R\0\0\0\x08\0\0\0\0Z\0\0\0\x05T\0\0\0\x08\x04\xd2\x16\x2f";
    assert_eq!(out, &wanted[..]);
}
