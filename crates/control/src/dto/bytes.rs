/// Arbitrary bytes as text that stays readable: printable ASCII as it is, the rest as `\xNN`.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7E => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// The text of an id as it can be pasted into a shell.
pub(crate) fn pasted(id: &str) -> String {
    format!("'{}'", id.replace('\'', r"'\''"))
}

/// Back from [`to_text`]; `None` when it was not made by it.
pub(crate) fn from_text(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', hi, lo, after @ ..]) => {
                let digits = [*hi, *lo];
                let digits = std::str::from_utf8(&digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (b'\\', _) => return None,
            (0x20..=0x7E, _) => out.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_go_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_text(&to_text(&all)).unwrap(), all);
        assert_eq!(to_text(b"user:1"), "user:1");
        assert_eq!(pasted(&to_text(b"\0o'k")), r"'\x00o'\''k'");
        for wrong in ["\\", "\\x", "\\x1", "\\xzz", "\\n", "\u{e9}"] {
            assert_eq!(from_text(wrong), None, "{wrong}");
        }
    }
}
