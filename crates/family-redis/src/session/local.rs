//! What is answered here, in the servers' own words.

use bytes::{BufMut, BytesMut};
use family::{ClientError, Refused};
use wire_redis::encode;

/// Appends a command.
pub(super) fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
    let mut bytes = BytesMut::new();
    encode::command(&mut bytes, args);
    out.put_slice(&bytes);
}

/// Appends an error of ours: the servers' first word, what happened, the code to look up.
pub(super) fn error(error: ClientError, out: &mut Vec<u8>) {
    let why = error.why;
    let word = super::error_word(why);
    let text = match why {
        // Clients and tools know this text; the code comes behind it.
        Refused::TooManyClients => format!("-{word} {} ({})\r\n", why.message(), why.code()),
        _ => format!("-{word} {} {}\r\n", why.code(), why.message()),
    };
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

pub(super) fn nil(out: &mut Vec<u8>, resp3: bool) {
    out.extend_from_slice(if resp3 { b"_\r\n" } else { b"$-1\r\n" });
}

pub(super) fn nil_array(out: &mut Vec<u8>, resp3: bool) {
    out.extend_from_slice(if resp3 { b"_\r\n" } else { b"*-1\r\n" });
}

pub(super) fn text(out: &mut Vec<u8>, error: &str) {
    out.extend_from_slice(b"-");
    out.extend_from_slice(error.as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(super) fn bulk(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether a client may call itself this: `validateClientAttr` of the server.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.iter().all(|b| (b'!'..=b'~').contains(b))
}

/// What HELLO asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    pub(super) resp3: bool,
    pub(super) login: Option<(&'a [u8], &'a [u8])>,
    pub(super) name: Option<&'a [u8]>,
}

/// Reads HELLO with at least a version, refusing it as the server would.
pub(super) fn hello<'a>(args: &[&'a [u8]]) -> Result<Hello<'a>, String> {
    let version = args.first().copied().unwrap_or_default();
    let number = std::str::from_utf8(version).ok().and_then(|v| v.parse::<i64>().ok());
    let resp3 = match number {
        Some(2) => false,
        Some(3) => true,
        Some(_) => return Err("NOPROTO unsupported protocol version".to_owned()),
        None => return Err("ERR Protocol version is not an integer or out of range".to_owned()),
    };
    let mut hello = Hello { resp3, login: None, name: None };
    let mut rest = args.get(1..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return Ok(hello),
            [option, user, password, more @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                hello.login = Some((user, password));
                more
            }
            [option, name, more @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                if !is_name(name) {
                    return Err(BAD_NAME.to_owned());
                }
                hello.name = Some(name);
                more
            }
            [option, ..] => {
                let option = String::from_utf8_lossy(option).replace(['\r', '\n'], " ");
                return Err(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        }
    }
}

/// The server's text for a name with spaces in it.
pub(super) const BAD_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_like_a_server() {
        let check = |line: &str, expect: Result<Hello<'_>, &str>| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(hello(&args), expect.map_err(str::to_owned), "{line}");
        };
        check("3", Ok(Hello { resp3: true, login: None, name: None }));
        check(
            "2 auth u p SETNAME n",
            Ok(Hello { resp3: false, login: Some((b"u", b"p")), name: Some(b"n") }),
        );
        check("4", Err("NOPROTO unsupported protocol version"));
        check("x", Err("ERR Protocol version is not an integer or out of range"));
        check("3 AUTH u", Err("ERR Syntax error in HELLO option 'AUTH'"));
    }

    #[test]
    fn an_error_is_one_line_with_its_code() {
        let mut out = Vec::new();
        error(Refused::NotKept.into(), &mut out);
        error(Refused::TooManyClients.into(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("\r\n").count(), 2);
        assert!(text.starts_with("-ERR EXO-PXY-004 "));
        assert!(text.contains("-ERR max number of clients reached (EXO-PXY-001)"));
    }
}
