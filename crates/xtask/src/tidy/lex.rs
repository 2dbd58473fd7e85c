//! Tells Rust code from comments and literals, so that a rule about code is not fooled by prose.
//!
//! Constraints: both views keep every newline and every byte position of the original (what is
//! left out becomes spaces), so a position in one is a position in the others. This is a lexer
//! for tidy rules, not for compiling: on unterminated input it blanks the rest.

/// Two views of one source.
pub(crate) struct Lexed {
    /// Comments blanked; string literals kept.
    pub(crate) uncommented: String,
    /// Comments and the content of string and character literals blanked.
    pub(crate) code: String,
}

impl Lexed {
    /// Lines of the code view with their one-based numbers.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// String literals as `(line, content)`, escapes as written.
    pub(crate) fn strings(&self) -> Vec<(usize, &str)> {
        let (code, text) = (self.code.as_bytes(), &self.uncommented);
        let mut found = Vec::new();
        let (mut line, mut start) = (1, None);
        for (at, byte) in code.iter().enumerate() {
            match (byte, start) {
                (b'\n', _) => line += 1,
                (b'"', None) => start = Some((at + 1, line)),
                (b'"', Some((from, first))) => {
                    found.push((first, &text[from..at]));
                    start = None;
                }
                _ => {}
            }
        }
        found
    }
}

/// Splits a source into its views.
pub(crate) fn lex(text: &str) -> Lexed {
    let bytes = text.as_bytes();
    let mut uncommented = bytes.to_vec();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            let end = at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            blank(&mut uncommented[at..end]);
            blank(&mut code[at..end]);
            end
        } else if rest.starts_with(b"/*") {
            let end = at + block_comment(rest);
            blank(&mut uncommented[at..end]);
            blank(&mut code[at..end]);
            end
        } else if let Some(hashes) = raw_start(bytes, at) {
            let open = at + 1 + hashes + 1;
            let (close, end) = raw_string(bytes, open, hashes);
            blank(&mut code[open..close]);
            end
        } else if rest[0] == b'"' {
            let close = at + 1 + plain_string(&rest[1..]);
            blank(&mut code[at + 1..close.min(bytes.len())]);
            close + 1
        } else if rest[0] == b'\'' {
            let len = char_literal(rest);
            if len > 2 {
                // The quotes go too: `'"'` must not look like the start of a string.
                blank(&mut code[at..at + len]);
                blank(&mut uncommented[at..at + len]);
            }
            at + len
        } else {
            at + 1
        };
        at = end.min(bytes.len());
    }
    Lexed { uncommented: restore(uncommented), code: restore(code) }
}

fn restore(bytes: Vec<u8>) -> String {
    // Only whole comments and literals are blanked, so what is left is still UTF-8.
    String::from_utf8_lossy(&bytes).into_owned()
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|b| **b != b'\n') {
        *byte = b' ';
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Number of hashes when a raw string starts at `at`.
fn raw_start(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let inside_word = at > 0 && word(&bytes[at - 1]) && !matches!(bytes[at - 1], b'b' | b'c');
    if bytes[at] != b'r' || inside_word {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// Where a raw string's content ends and where the literal ends.
fn raw_string(bytes: &[u8], open: usize, hashes: usize) -> (usize, usize) {
    let mut close = open;
    while close < bytes.len() {
        let tail = &bytes[close + 1..];
        if bytes[close] == b'"'
            && tail.iter().take(hashes).filter(|b| **b == b'#').count() == hashes
        {
            return (close, close + 1 + hashes);
        }
        close += 1;
    }
    (bytes.len(), bytes.len())
}

/// Length of a string's content up to its closing quote.
fn plain_string(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at.min(rest.len())
}

/// Length of a character literal, or 1 for a lifetime's quote.
fn char_literal(rest: &[u8]) -> usize {
    let limit = rest.len().min(12);
    match rest.get(1) {
        Some(b'\\') => {
            rest[3.min(limit)..limit].iter().position(|b| *b == b'\'').map_or(1, |p| p + 4)
        }
        Some(_) => {
            let end = (2..limit.min(6)).find(|i| rest[*i] == b'\'');
            end.filter(|e| *e == 2 || !rest[1].is_ascii()).map_or(1, |e| e + 1)
        }
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, uncommented: &str, code: &str) {
        let lexed = lex(text);
        assert_eq!(lexed.uncommented, uncommented);
        assert_eq!(lexed.code, code);
    }

    #[test]
    fn comments_are_blanked() {
        check("a // b\nc", "a     \nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e", "a                   e");
    }

    #[test]
    fn strings_are_kept_in_one_view_only() {
        check("f(\"a // \\\" b\") c", "f(\"a // \\\" b\") c", "f(\"         \") c");
        check("r#\"a \" // b\"# c", "r#\"a \" // b\"# c", "r#\"        \"# c");
        check("b\"x\" y", "b\"x\" y", "b\" \" y");
    }

    #[test]
    fn lifetimes_are_not_characters() {
        check("&'a str // x", "&'a str     ", "&'a str     ");
        let characters = "'\"' 'é' '\\'' '\\u{1F600}' z";
        let blanked = format!("{}z", " ".repeat(characters.len() - 1));
        check(characters, &blanked, &blanked);
    }

    #[test]
    fn string_literals_are_listed_with_their_lines() {
        let lexed = lex("let a = \"one\"; // \"no\"\nlet b = '\"'; let c = r#\"tw\"o\"#;");
        assert_eq!(lexed.strings(), [(1, "one"), (2, "tw\"o")]);
    }
}
