//! Metric names follow one scheme: prefix `exodus_`, snake_case, `_total` on counters only.

use super::Violation;
use super::tree::Tree;

const MACROS: &[(&str, bool)] = &[
    ("counter!(", true),
    ("gauge!(", false),
    ("histogram!(", false),
    ("describe_counter!(", true),
    ("describe_gauge!(", false),
    ("describe_histogram!(", false),
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|f| !f.path.starts_with("crates/xtask/")) {
        let Some(rust) = &file.rust else { continue };
        for (line, text) in (1..).zip(rust.uncommented.lines()) {
            for (name, counter) in names_in(text) {
                if let Some(what) = wrong(name, counter) {
                    found.push(Violation::at(&file.path, line, format!("metric `{name}` {what}")));
                }
            }
        }
    }
    found
}

/// Literal names handed to a metrics macro, with whether it makes a counter.
fn names_in(text: &str) -> Vec<(&str, bool)> {
    let mut names = Vec::new();
    for (call, counter) in MACROS {
        for (at, _) in text.match_indices(call) {
            let inside_word = at > 0 && text.as_bytes()[at - 1] == b'_';
            let literal = text[at + call.len()..].trim_start().strip_prefix('"');
            if let (false, Some((name, _))) = (inside_word, literal.and_then(|l| l.split_once('"')))
            {
                names.push((name, *counter));
            }
        }
    }
    names
}

fn wrong(name: &str, counter: bool) -> Option<&'static str> {
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with("exodus_") || !name.chars().all(snake) {
        return Some("is not `exodus_` and snake_case");
    }
    match (counter, name.ends_with("_total")) {
        (true, false) => Some("is a counter and lacks `_total`"),
        (false, true) => Some("is no counter and ends in `_total`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Tree::of(&[("crates/a/src/lib.rs", text)])).len()
    }

    #[test]
    fn names_after_the_scheme_pass() {
        assert_eq!(found("counter!(\"exodus_requests_total\").increment(1);"), 0);
        assert_eq!(found("gauge!(\"exodus_undo_ready\").set(1.0);"), 0);
    }

    #[test]
    fn each_way_to_break_the_scheme_is_found() {
        assert_eq!(found("counter!(\"exodus_requests\")"), 1);
        assert_eq!(found("gauge!(\"exodus_requests_total\")"), 1);
        assert_eq!(found("metrics::histogram!(\"latency\")"), 1);
        assert_eq!(found("describe_gauge!(\"exodus_Lag\", \"lag\")"), 1);
    }
}
