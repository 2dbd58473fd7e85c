//! Looks at everything a message says; shared by tests and fuzz targets. What a view has checked
//! must be readable to its end.

use wire_postgres::auth::{Authentication, SaslInitial, password};
use wire_postgres::command_tag::CommandTag;
use wire_postgres::copy::CopyStart;
use wire_postgres::logical::{Decoder, Event, Tuple};
use wire_postgres::notice::Notice;
use wire_postgres::query::{Bind, Execute, FunctionCall, ParseMessage, Target, empty, text};
use wire_postgres::rows::{DataRow, ParameterDescription, RowDescription, function_result};
use wire_postgres::session::{KeyData, Notification, ParameterStatus, Transaction};
use wire_postgres::startup::{NegotiateVersion, StartupPacket};
use wire_postgres::{MessageError, split};

/// A packet of the startup phase.
pub(crate) fn startup(packet: &[u8]) -> Result<(), MessageError> {
    if let StartupPacket::Startup(startup) = StartupPacket::parse(packet)? {
        let bytes: usize = startup.parameters().map(|(n, v)| n.len() + v.len() + 2).sum();
        if startup.version.major() == 3 {
            assert_eq!(bytes + 9, packet.len());
        }
        let _ = startup.protocol_options().count();
    }
    Ok(())
}

/// A whole message of a client.
pub(crate) fn frontend(message: &[u8]) -> Result<(), MessageError> {
    let (tag, body) = split(message).expect("a whole message");
    match tag {
        b'Q' | b'f' => {
            text(body)?;
        }
        b'P' => {
            let _ = ParseMessage::parse(body)?.types().count();
        }
        b'B' => {
            let bind = Bind::parse(body)?;
            assert_eq!(bind.value_formats.codes().count(), bind.value_formats.len());
            assert_eq!(bind.result_formats.codes().count(), bind.result_formats.len());
            let bytes: usize = bind.values().map(|v| 4 + v.map_or(0, <[u8]>::len)).sum();
            let formats = 2 * (bind.value_formats.len() + bind.result_formats.len());
            assert_eq!(bind.portal.len() + bind.statement.len() + bytes + formats + 8, body.len());
        }
        b'E' => {
            Execute::parse(body)?;
        }
        b'D' | b'C' => {
            Target::parse(body)?;
        }
        b'F' => {
            let call = FunctionCall::parse(body)?;
            let bytes: usize = call.arguments().map(|v| 4 + v.map_or(0, <[u8]>::len)).sum();
            assert_eq!(bytes + 2 * call.argument_formats.len() + 10, body.len());
        }
        b'H' | b'S' | b'X' | b'c' => empty(body)?,
        b'p' => {
            let _ = (password(body), SaslInitial::parse(body));
        }
        b'd' => {
            let _ = wire_postgres::replication::FromClient::parse(body);
        }
        other => panic!("the scanner let {other} pass"),
    }
    Ok(())
}

/// A whole message of a server.
pub(crate) fn backend(message: &[u8]) -> Result<(), MessageError> {
    let (tag, body) = split(message).expect("a whole message");
    match tag {
        b'R' => {
            if let Authentication::Sasl(mechanisms) = Authentication::parse(body)? {
                let bytes: usize = mechanisms.names().map(|name| name.len() + 1).sum();
                assert_eq!(bytes + 5, body.len());
            }
        }
        b'v' => {
            let _ = NegotiateVersion::parse(body)?.options().count();
        }
        b'K' => {
            KeyData::parse(body)?;
        }
        b'S' => {
            ParameterStatus::parse(body)?;
        }
        b'Z' => {
            Transaction::parse(body)?;
        }
        b'A' => {
            Notification::parse(body)?;
        }
        b'E' | b'N' => {
            let notice = Notice::parse(body)?;
            let bytes: usize = notice.fields().map(|(_, value)| value.len() + 2).sum();
            assert_eq!(bytes + 1, body.len());
            let _ = notice.ends_session();
        }
        b'C' => {
            let tag = CommandTag::parse(body)?;
            let _ = (tag.command(), tag.rows());
        }
        b'T' => {
            let rows = RowDescription::parse(body)?;
            assert_eq!(rows.columns().count(), rows.len());
        }
        b'D' => {
            let row = DataRow::parse(body)?;
            let bytes: usize = row.values().map(|v| 4 + v.map_or(0, <[u8]>::len)).sum();
            assert_eq!(bytes + 2, body.len());
        }
        b't' => {
            assert_eq!(ParameterDescription::parse(body)?.types().count() * 4 + 2, body.len());
        }
        b'V' => {
            function_result(body)?;
        }
        b'G' | b'H' | b'W' => {
            assert_eq!(CopyStart::parse(body)?.formats().count() * 2 + 3, body.len());
        }
        b'd' => {
            let _ = wire_postgres::replication::FromServer::parse(body);
        }
        b'1' | b'2' | b'3' | b'I' | b'c' | b'n' | b's' => empty(body)?,
        other => panic!("the scanner let {other} pass"),
    }
    Ok(())
}

/// A message of `pgoutput`, outside and inside a streamed block.
#[allow(dead_code, reason = "not every user looks at them")]
pub(crate) fn logical(data: &[u8]) -> Result<(), MessageError> {
    let mut inside = Decoder::new();
    inside.decode(b"S\0\0\0\x01\x01").expect("a block begins");
    let seen = inside.decode(data).map(|message| rows(&message.event));
    Decoder::new().decode(data).map(|message| rows(&message.event))?;
    seen.map(drop)
}

fn rows(event: &Event<'_>) {
    let read = |tuple: &Tuple<'_>| assert_eq!(tuple.values().count(), tuple.len());
    match event {
        Event::Insert { new, .. } => read(new),
        Event::Update { old, new, .. } => {
            read(new);
            if let Some(old) = old {
                read(&old.tuple());
            }
        }
        Event::Delete { old, .. } => read(&old.tuple()),
        Event::Relation(relation) => drop(relation.attributes().count()),
        Event::Truncate(truncate) => drop(truncate.relations().count()),
        _ => {}
    }
}
