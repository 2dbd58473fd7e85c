//! Request lines taken apart, as `sdssplitargs` of the server does it.

/// The arguments of a request line (its line end may be included). `None` when quotes are not
/// balanced, which a server refuses.
#[must_use]
pub fn split_inline(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut out = Vec::new();
    let mut rest = line;
    loop {
        let skip = rest.iter().take_while(|b| space(**b)).count();
        rest = &rest[skip..];
        if rest.is_empty() {
            return Some(out);
        }
        let (argument, used) = one(rest)?;
        out.push(argument);
        rest = &rest[used..];
    }
}

/// `isspace` of C: also vertical tab.
const fn space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// One argument and how many bytes it took.
fn one(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            _ if space(byte) => break,
            b'"' => return quoted(text, at + 1, out),
            b'\'' => return verbatim(text, at + 1, out),
            _ => out.push(byte),
        }
        at += 1;
    }
    Some((out, at))
}

fn quoted(text: &[u8], mut at: usize, mut out: Vec<u8>) -> Option<(Vec<u8>, usize)> {
    loop {
        match text.get(at..)? {
            [b'\\', b'x', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(hex(*a) << 4 | hex(*b));
                at += 4;
            }
            [b'\\', c, ..] => {
                out.push(match c {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                at += 2;
            }
            [b'"', rest @ ..] => return closed(rest).then_some((out, at + 1)),
            [byte, ..] => {
                out.push(*byte);
                at += 1;
            }
            [] => return None,
        }
    }
}

fn verbatim(text: &[u8], mut at: usize, mut out: Vec<u8>) -> Option<(Vec<u8>, usize)> {
    loop {
        match text.get(at..)? {
            [b'\\', b'\'', ..] => {
                out.push(b'\'');
                at += 2;
            }
            [b'\'', rest @ ..] => return closed(rest).then_some((out, at + 1)),
            [byte, ..] => {
                out.push(*byte);
                at += 1;
            }
            [] => return None,
        }
    }
}

/// A closing quote has to be followed by a space or nothing.
fn closed(rest: &[u8]) -> bool {
    rest.first().is_none_or(|b| space(*b))
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::split_inline;

    #[test]
    fn like_sdssplitargs() {
        let check = |line: &str, expect: Option<&[&str]>| {
            let got = split_inline(line.as_bytes());
            let expect = expect.map(|e| e.iter().map(|s| s.as_bytes().to_vec()).collect());
            assert_eq!(got, expect, "{line}");
        };
        check("SET a b\r\n", Some(&["SET", "a", "b"]));
        check("  set\t a   'b c' \r\n", Some(&["set", "a", "b c"]));
        check(r#"set "a\x41\n\"" 'it\'s'"#, Some(&["set", "aA\n\"", "it's"]));
        check("", Some(&[]));
        check(r#"set "a"#, None);
        check(r#"set "a"b"#, None);
        check("set 'a", None);
        check(r#"set a"b c""#, Some(&["set", "ab c"]));
    }
}
