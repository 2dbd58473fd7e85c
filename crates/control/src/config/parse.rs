use api::{ConfigProblem, Validation};
use serde_saphyr::Error;

use crate::config::check::check;
use crate::config::document::Document;

/// Reads a document. Makes no connection and resolves no secret.
pub fn parse(text: &str) -> Result<Document, Box<ConfigProblem>> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|e| Box::new(problem(&e)))
}

/// A document's offline verdict. `families` are the names this binary knows.
pub fn validate(text: &str, families: &[&str]) -> Validation {
    match parse(text) {
        Err(problem) => {
            Validation { valid: false, migration: None, digest: None, problems: vec![*problem] }
        }
        Ok(document) => {
            let problems = check(&document, families);
            Validation {
                valid: problems.is_empty(),
                migration: Some(document.migration.clone()),
                digest: Some(document.digest()),
                problems,
            }
        }
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

impl Document {
    /// Digest of the document as it was understood: equal for two texts that mean the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&text).to_hex()[..32].to_owned()
    }
}

fn problem(error: &Error) -> ConfigProblem {
    let error = error.without_snippet();
    let place = error.location();
    let (code, message, fix) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let near = nearest(field, expected);
            let message = match near {
                Some(near) => format!("unknown key `{field}`; did you mean `{near}`?"),
                None => format!("unknown key `{field}`; expected one of {}", expected.join(", ")),
            };
            ("EXO-CFG-001", message, near.map(|n| format!("write `{n}`")))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            let message = format!("the key `{key}` stands twice");
            ("EXO-CFG-002", message, Some("keep one of them".to_owned()))
        }
        Error::SerdeMissingField { field, .. } => {
            ("EXO-CFG-003", format!("`{field}` is missing"), Some(format!("add `{field}:`")))
        }
        other => {
            // Everything but its position, which we give in numbers.
            let text = other.to_string();
            let end = text.find(" at line ").unwrap_or(text.len());
            ("EXO-CFG-003", text[..end].to_owned(), None)
        }
    };
    ConfigProblem {
        code: code.to_owned(),
        message,
        path: None,
        line: place.map(|p| p.line()),
        column: place.map(|p| p.column()),
        fix,
    }
}

/// The known word that was most likely meant.
fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |word: &str| edits(&given.to_lowercase(), word);
    let best = known.iter().copied().min_by_key(|word| distance(word))?;
    (distance(best) <= 1 + given.len() / 3).then_some(best)
}

/// Edit distance; both words are short.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
migration: orders
family: fake
environment: dev
source:
  address: 127.0.0.1:6379
target:
  address: 127.0.0.1:6380
interlay:
  - listen: 127.0.0.1:7000
";

    fn refused(text: &str) -> (String, String, u64, u64) {
        let p = parse(text).unwrap_err();
        (p.code, p.message, p.line.unwrap_or(0), p.column.unwrap_or(0))
    }

    #[test]
    fn a_small_document_is_enough() {
        let document = parse(GOOD).unwrap();
        assert_eq!(document.strategy.steps, [5, 25, 50, 75, 100]);
        assert_eq!(document.interlay[0].name, "main");
        assert!(validate(GOOD, &["fake"]).valid);
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(parse(&json).unwrap(), document);
        assert_eq!(parse(&json).unwrap().digest(), document.digest());
    }

    #[test]
    fn an_unknown_key_names_its_neighbour_and_place() {
        let (code, message, line, column) =
            refused(&GOOD.replace("  address: 127.0.0.1:6380", "  adress: 127.0.0.1:6380"));
        assert_eq!(code, "EXO-CFG-001");
        assert_eq!(message, "unknown key `adress`; did you mean `address`?");
        assert_eq!((line, column), (7, 3));
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        let (code, message, line, _) = refused(&format!("{GOOD}family: other\n"));
        assert_eq!((code.as_str(), line), ("EXO-CFG-002", 10));
        assert!(message.contains("family"), "{message}");
    }

    #[test]
    fn wrong_values_are_refused_where_they_stand() {
        for (from, to, line, says) in [
            ("environment: dev", "environment: test", 3, "expected one of prod, dev"),
            ("environment: dev", "strategy: {kind: canari}", 3, "canari"),
            ("environment: dev", "rollback: {pause_budget: 5 weeks}", 3, "5 weeks"),
            ("listen: 127.0.0.1:7000", "listen: nowhere", 9, ""),
        ] {
            let (_, message, at, _) = refused(&GOOD.replace(from, to));
            assert_eq!(at, line, "{to}: {message}");
            assert!(message.contains(says), "{to}: {message}");
        }
    }

    #[test]
    fn a_plain_secret_is_refused_and_not_repeated() {
        let text = GOOD.replace("6379\n", "6379\n  password: hunter2\n");
        let (_, message, line, _) = refused(&text);
        assert!(message.contains("${env:NAME}") && !message.contains("hunter2"), "{message}");
        assert_eq!(line, 6);
    }

    #[test]
    fn missing_sections_are_named() {
        let (_, message, ..) = refused("migration: a\nfamily: fake\n");
        assert!(message.contains("source") || message.contains("interlay"), "{message}");
    }
}
