//! Commands as bytes, for connections that we ourselves are the client of.
//!
//! Constraints: sans-IO; every argument is a bulk string, so nothing in a key or a value can be
//! mistaken for protocol.

use bytes::{BufMut, BytesMut};

/// Appends one command to `out`: `*<n>` and each argument as a bulk string.
pub fn command(out: &mut BytesMut, args: &[&[u8]]) {
    head(out, args.len());
    for arg in args {
        bulk(out, arg);
    }
}

/// Appends the head of a command of `args` arguments; as many [`bulk`]s have to follow.
pub fn head(out: &mut BytesMut, args: usize) {
    out.put_u8(b'*');
    decimal(out, args);
}

/// Appends one argument.
pub fn bulk(out: &mut BytesMut, arg: &[u8]) {
    out.reserve(arg.len() + 16);
    bulk_head(out, arg.len());
    out.put_slice(arg);
    out.put_slice(b"\r\n");
}

/// Appends only `$<length>`, for an argument whose bytes are written past `out`; they and a
/// CR LF have to follow.
pub fn bulk_head(out: &mut BytesMut, length: usize) {
    out.put_u8(b'$');
    decimal(out, length);
}

/// Appends an integer argument.
pub fn int(out: &mut BytesMut, value: i64) {
    let mut digits = [0u8; 20];
    let text = format(&mut digits, value.unsigned_abs(), value < 0);
    bulk(out, text);
}

fn decimal(out: &mut BytesMut, value: usize) {
    let mut digits = [0u8; 20];
    out.put_slice(format(&mut digits, value as u64, false));
    out.put_slice(b"\r\n");
}

/// Writes the digits from the back of the array; 20 bytes hold any `u64` and a negative `i64`.
fn format(digits: &mut [u8; 20], mut value: u64, negative: bool) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if negative {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_bulk_strings() {
        let mut out = BytesMut::new();
        command(&mut out, &[b"SET", b"k\r\n", b""]);
        assert_eq!(&out[..], b"*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    }

    #[test]
    fn integers_at_their_ends() {
        for value in [0, 7, -1, i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            int(&mut out, value);
            let text = value.to_string();
            assert_eq!(out, format!("${}\r\n{text}\r\n", text.len()).as_bytes());
        }
    }
}
