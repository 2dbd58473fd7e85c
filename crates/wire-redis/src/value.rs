//! Replies as owned values, for connections that we ourselves are the client of.
//!
//! Constraints: sans-IO; resumable, so that a reply of any size costs linear work however it is
//! cut into reads; allocation grows with the bytes received, never with a length announced;
//! after an error the decoder is spent and the connection has to be closed.
//!
//! Layout: [`Decoder`] keeps the open aggregates as a stack, completed items leave the buffer at
//! once. Bulk strings are slices of the receive buffer, not copies.
//!
//! Types: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.
//! Streamed strings and aggregates (`$?`, `*?`) are refused: no server sends them as replies.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Largest bulk string accepted, in bytes: the server's own ceiling (`proto-max-bulk-len`) by
/// default is 512 MiB, and a string value can never be larger.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Deepest nesting of aggregates accepted.
pub const DEPTH_MAX: usize = 64;
/// Longest line (simple string, error, number) accepted, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most items one aggregate may announce.
pub const ITEMS_MAX: usize = 1 << 31;
/// Items reserved up front for an aggregate, whatever it announces.
const ITEMS_RESERVED_MAX: usize = 1024;

/// One reply or push message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+` status line.
    Simple(Bytes),
    /// `-` or `!`: the error text, its first word being the code.
    Error(Bytes),
    /// `:` integer.
    Int(i64),
    /// `$` or `=`: a string of bytes (a verbatim string without its three-letter format).
    Bulk(Bytes),
    /// `_`, `$-1` or `*-1`.
    Nil,
    /// `*` array.
    Array(Vec<Value>),
    /// `%` map, as flat key, value, key, value.
    Map(Vec<Value>),
    /// `~` set.
    Set(Vec<Value>),
    /// `>` out-of-band message.
    Push(Vec<Value>),
    /// `,` double.
    Double(f64),
    /// `#` boolean.
    Bool(bool),
    /// `(` big number, as its digits.
    Big(Bytes),
}

impl Value {
    /// The bytes of a simple or bulk string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(b) | Self::Bulk(b) => Some(b),
            _ => None,
        }
    }

    /// The text of a simple or bulk string, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|b| std::str::from_utf8(b).ok())
    }

    /// An integer, also when it came as digits in a string.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            _ => self.as_str().and_then(|s| s.parse().ok()),
        }
    }

    /// The items of any aggregate (a map as flat key, value, …).
    #[must_use]
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Self::Array(v) | Self::Map(v) | Self::Set(v) | Self::Push(v) => Some(v),
            _ => None,
        }
    }

    /// The items of any aggregate, by value.
    #[must_use]
    pub fn into_items(self) -> Option<Vec<Value>> {
        match self {
            Self::Array(v) | Self::Map(v) | Self::Set(v) | Self::Push(v) => Some(v),
            _ => None,
        }
    }

    /// The text of an error reply, invalid UTF-8 replaced.
    #[must_use]
    pub fn error(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Error(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        }
    }

    /// Whether this is the status line `+OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Simple(s) if s.as_ref() == b"OK")
    }
}

/// Why a reply could not be understood. The connection is out of step and has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ValueError {
    /// The first byte names no type.
    #[error("unknown reply type byte 0x{0:02x}")]
    UnknownType(u8),
    /// A length or an integer is not a number, or out of its range.
    #[error("invalid number in a reply")]
    BadNumber,
    /// A line is longer than [`LINE_BYTES_MAX`].
    #[error("reply line too long")]
    LineTooLong,
    /// A bulk string announces more than [`BULK_BYTES_MAX`].
    #[error("reply string too long")]
    BulkTooLong,
    /// A line or a bulk string does not end in CR LF.
    #[error("reply not terminated by CR LF")]
    BadTerminator,
    /// Aggregates are nested deeper than [`DEPTH_MAX`].
    #[error("reply nested too deeply")]
    TooDeep,
    /// An aggregate announces more than [`ITEMS_MAX`] items.
    #[error("reply aggregate too long")]
    TooManyItems,
    /// A streamed string or aggregate, which replies never are.
    #[error("streamed reply not supported")]
    Streamed,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    /// Precedes a value and says nothing we use; dropped when complete.
    Attribute,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    left: usize,
    items: Vec<Value>,
}

/// Turns received bytes into [`Value`]s, keeping what is half there between calls.
#[derive(Debug, Default)]
pub struct Decoder {
    stack: Vec<Open>,
}

/// What the next bytes of the buffer are.
enum Step {
    /// A complete value.
    Value(Value),
    /// The head of an aggregate of this many items.
    Open(Kind, usize),
    /// Not enough bytes.
    More,
}

impl Decoder {
    /// A decoder at a message boundary.
    #[must_use]
    pub const fn new() -> Self {
        Self { stack: Vec::new() }
    }

    /// Takes one complete value off the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the bytes are not a reply. Nothing that follows can be trusted then.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ValueError> {
        loop {
            let mut done = match step(buffer)? {
                Step::More => return Ok(None),
                Step::Value(value) => value,
                Step::Open(kind, 0) => match close(kind, Vec::new()) {
                    Some(value) => value,
                    None => continue,
                },
                Step::Open(kind, left) => {
                    if self.stack.len() >= DEPTH_MAX {
                        return Err(ValueError::TooDeep);
                    }
                    let items = Vec::with_capacity(left.min(ITEMS_RESERVED_MAX));
                    self.stack.push(Open { kind, left, items });
                    continue;
                }
            };
            // Hand the value to the innermost open aggregate; one that is full thereby is itself
            // a value for the next outer one.
            loop {
                let Some(open) = self.stack.last_mut() else { return Ok(Some(done)) };
                open.items.push(done);
                open.left -= 1;
                if open.left > 0 {
                    break;
                }
                let Some(full) = self.stack.pop() else { break };
                match close(full.kind, full.items) {
                    Some(value) => done = value,
                    None => break,
                }
            }
        }
    }
}

fn close(kind: Kind, items: Vec<Value>) -> Option<Value> {
    match kind {
        Kind::Array => Some(Value::Array(items)),
        Kind::Map => Some(Value::Map(items)),
        Kind::Set => Some(Value::Set(items)),
        Kind::Push => Some(Value::Push(items)),
        Kind::Attribute => None,
    }
}

fn step(buffer: &mut BytesMut) -> Result<Step, ValueError> {
    let Some(&tag) = buffer.first() else { return Ok(Step::More) };
    if !matches!(
        tag,
        b'+' | b'-'
            | b':'
            | b'$'
            | b'='
            | b'!'
            | b'_'
            | b'*'
            | b'%'
            | b'~'
            | b'>'
            | b'|'
            | b','
            | b'#'
            | b'('
    ) {
        return Err(ValueError::UnknownType(tag));
    }
    let Some(line) = line_end(buffer)? else { return Ok(Step::More) };
    let text = &buffer[1..line];
    let value = match tag {
        b'$' | b'=' | b'!' => return bulk(buffer, tag, line),
        b'*' if text == b"-1" => Value::Nil,
        b'*' => return open(buffer, Kind::Array, line, 1),
        b'~' => return open(buffer, Kind::Set, line, 1),
        b'>' => return open(buffer, Kind::Push, line, 1),
        b'%' => return open(buffer, Kind::Map, line, 2),
        b'|' => return open(buffer, Kind::Attribute, line, 2),
        b':' => Value::Int(number(text)?),
        b'_' if text.is_empty() => Value::Nil,
        b'#' if text == b"t" => Value::Bool(true),
        b'#' if text == b"f" => Value::Bool(false),
        b',' => Value::Double(double(text)?),
        b'+' | b'-' | b'(' => {
            let mut taken = buffer.split_to(line + 2);
            taken.advance(1);
            taken.truncate(line - 1);
            let bytes = taken.freeze();
            return Ok(Step::Value(match tag {
                b'+' => Value::Simple(bytes),
                b'-' => Value::Error(bytes),
                _ => Value::Big(bytes),
            }));
        }
        _ => return Err(ValueError::BadNumber),
    };
    buffer.advance(line + 2);
    Ok(Step::Value(value))
}

/// Position of the CR that ends the first line, if it is all there.
fn line_end(buffer: &[u8]) -> Result<Option<usize>, ValueError> {
    let window = &buffer[..buffer.len().min(LINE_BYTES_MAX + 2)];
    match memchr::memchr(b'\r', window) {
        Some(at) if at + 1 >= buffer.len() => Ok(None),
        Some(at) if buffer[at + 1] == b'\n' => Ok(Some(at)),
        Some(_) => Err(ValueError::BadTerminator),
        None if window.len() > LINE_BYTES_MAX => Err(ValueError::LineTooLong),
        None => Ok(None),
    }
}

fn open(
    buffer: &mut BytesMut,
    kind: Kind,
    line: usize,
    per_entry: usize,
) -> Result<Step, ValueError> {
    let entries = length(&buffer[1..line])?;
    let items = entries.checked_mul(per_entry).ok_or(ValueError::TooManyItems)?;
    if items > ITEMS_MAX {
        return Err(ValueError::TooManyItems);
    }
    buffer.advance(line + 2);
    Ok(Step::Open(kind, items))
}

fn bulk(buffer: &mut BytesMut, tag: u8, line: usize) -> Result<Step, ValueError> {
    let text = &buffer[1..line];
    if tag == b'$' && text == b"-1" {
        buffer.advance(line + 2);
        return Ok(Step::Value(Value::Nil));
    }
    let length = length(text)?;
    if length > BULK_BYTES_MAX {
        return Err(ValueError::BulkTooLong);
    }
    let start = line + 2;
    let end = start + length;
    if buffer.len() < end + 2 {
        return Ok(Step::More);
    }
    if &buffer[end..end + 2] != b"\r\n" {
        return Err(ValueError::BadTerminator);
    }
    let mut taken = buffer.split_to(end + 2);
    taken.advance(start);
    taken.truncate(length);
    let mut bytes = taken.freeze();
    Ok(Step::Value(match tag {
        b'!' => Value::Error(bytes),
        b'=' if bytes.len() < 4 || bytes[3] != b':' => return Err(ValueError::BadNumber),
        b'=' => {
            bytes.advance(4);
            Value::Bulk(bytes)
        }
        _ => Value::Bulk(bytes),
    }))
}

fn length(text: &[u8]) -> Result<usize, ValueError> {
    if text == b"?" {
        return Err(ValueError::Streamed);
    }
    usize::try_from(number(text)?).map_err(|_| ValueError::BadNumber)
}

fn number(text: &[u8]) -> Result<i64, ValueError> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(ValueError::BadNumber)
}

fn double(text: &[u8]) -> Result<f64, ValueError> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(ValueError::BadNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expect: &Value) {
        let mut whole = BytesMut::from(input);
        assert_eq!(Decoder::new().decode(&mut whole).unwrap().as_ref(), Some(expect));
        assert!(whole.is_empty());
        // The same, a byte at a time.
        let mut buffer = BytesMut::new();
        let mut decoder = Decoder::new();
        for (i, byte) in input.iter().enumerate() {
            buffer.extend_from_slice(&[*byte]);
            let got = decoder.decode(&mut buffer).unwrap();
            assert_eq!(got.as_ref(), (i + 1 == input.len()).then_some(expect), "after byte {i}");
        }
    }

    fn refuse(input: &[u8], expect: ValueError) {
        assert_eq!(Decoder::new().decode(&mut BytesMut::from(input)), Err(expect));
    }

    fn bulk_of(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_type() {
        check(b"+OK\r\n", &Value::Simple(Bytes::from_static(b"OK")));
        check(b"-ERR no\r\n", &Value::Error(Bytes::from_static(b"ERR no")));
        check(b":-42\r\n", &Value::Int(-42));
        check(b"$5\r\nhe\r\no\r\n", &bulk_of("he\r\no"));
        check(b"$0\r\n\r\n", &bulk_of(""));
        check(b"$-1\r\n", &Value::Nil);
        check(b"*-1\r\n", &Value::Nil);
        check(b"_\r\n", &Value::Nil);
        check(b"#t\r\n", &Value::Bool(true));
        check(b",3.5\r\n", &Value::Double(3.5));
        check(b",-inf\r\n", &Value::Double(f64::NEG_INFINITY));
        check(
            b"(12345678901234567890\r\n",
            &Value::Big(Bytes::from_static(b"12345678901234567890")),
        );
        check(b"!5\r\nERR x\r\n", &Value::Error(Bytes::from_static(b"ERR x")));
        check(b"=7\r\ntxt:abc\r\n", &bulk_of("abc"));
        check(b"*0\r\n", &Value::Array(vec![]));
        check(
            b"%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n",
            &Value::Map(vec![
                Value::Simple(Bytes::from_static(b"k")),
                Value::Set(vec![Value::Int(1), Value::Int(2)]),
            ]),
        );
        check(
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
            &Value::Push(vec![bulk_of("invalidate"), Value::Array(vec![bulk_of("k")])]),
        );
        check(b"|1\r\n+ttl\r\n:3\r\n:7\r\n", &Value::Int(7));
        check(
            b"*2\r\n*0\r\n*2\r\n$1\r\na\r\n*1\r\n$-1\r\n",
            &Value::Array(vec![
                Value::Array(vec![]),
                Value::Array(vec![bulk_of("a"), Value::Array(vec![Value::Nil])]),
            ]),
        );
    }

    #[test]
    fn what_no_server_sends() {
        refuse(b"?x\r\n", ValueError::UnknownType(b'?'));
        refuse(b":1x\r\n", ValueError::BadNumber);
        refuse(b"$-2\r\n", ValueError::BadNumber);
        refuse(b"$?\r\n", ValueError::Streamed);
        refuse(b"*99999999999\r\n", ValueError::TooManyItems);
        refuse(b"$536870913\r\n", ValueError::BulkTooLong);
        refuse(b"$1\r\nabc\r\n", ValueError::BadTerminator);
        refuse(b"+a\rb\r\n", ValueError::BadTerminator);
        refuse(&b"*1\r\n".repeat(DEPTH_MAX + 1), ValueError::TooDeep);
        refuse(
            &[b"+".as_slice(), &vec![b'a'; LINE_BYTES_MAX + 8]].concat(),
            ValueError::LineTooLong,
        );
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(input: Vec<u8>) {
            let mut buffer = BytesMut::from(&input[..]);
            let mut decoder = Decoder::new();
            while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
        }

        #[test]
        fn cuts_do_not_matter(cut in 1usize..9, words in proptest::collection::vec("[a-z]{0,9}", 0..9)) {
            let mut wire = Vec::new();
            wire.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in &words {
                wire.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
            }
            let mut decoder = Decoder::new();
            let mut buffer = BytesMut::new();
            let mut got = None;
            for piece in wire.chunks(cut) {
                buffer.extend_from_slice(piece);
                got = decoder.decode(&mut buffer).unwrap();
            }
            let expect = words.iter().map(|w| Value::Bulk(Bytes::from(w.clone()))).collect();
            assert_eq!(got, Some(Value::Array(expect)));
        }
    }
}
