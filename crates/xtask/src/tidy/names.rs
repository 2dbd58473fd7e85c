//! Family-blind crates never name a family in code. Prose may: a contract is easier to read
//! with an example.

use super::Violation;
use super::lex::lex;
use super::tree::Tree;

/// Crates that must work for a family nobody has written yet.
const BLIND: &[&str] = &[
    "model",
    "routing",
    "workflow",
    "family",
    "journal",
    "store",
    "engine",
    "proxy",
    "api",
    "control",
    "telemetry",
    "cli",
];

/// The page in the browser is as blind.
const DASHBOARD: &str = "dashboard/src/";

const FAMILIES: &[&str] = &["redis", "valkey", "keydb", "dragonfly", "postgres", "mongo", "mysql"];

/// English words that merely begin like a family.
const ENGLISH: &[&str] = &["redistribut", "rediscover", "redispatch", "redisplay"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in BLIND.iter().flat_map(|name| tree.sources(name)) {
        let Some(rust) = &file.rust else { continue };
        named(&file.path, &rust.uncommented, &mut found);
    }
    let page = |path: &str| path.starts_with(DASHBOARD) && path.ends_with(".ts");
    for file in tree.files.iter().filter(|f| page(&f.path)) {
        // Comments look the same in TypeScript.
        named(&file.path, &lex(&file.text).uncommented, &mut found);
    }
    found
}

fn named(path: &str, code: &str, found: &mut Vec<Violation>) {
    for (line, text) in (1..).zip(code.lines()) {
        if let Some(name) = family_in(text) {
            let what = format!("names the family `{name}`; only exodus and families may");
            found.push(Violation::at(path, line, what));
        }
    }
}

fn family_in(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    FAMILIES.iter().copied().find(|name| {
        lower
            .match_indices(name)
            .any(|(at, _)| !ENGLISH.iter().any(|word| lower[at..].starts_with(word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_family_in_code_or_in_a_literal_is_found() {
        assert_eq!(found("crates/engine/src/a.rs", "use family_redis::Thing;"), 1);
        assert_eq!(found("crates/cli/src/a.rs", "if family == \"postgres\" {}"), 1);
        assert_eq!(found("crates/api/src/a.rs", "struct MongoKey;"), 1);
        assert_eq!(found("dashboard/src/a.ts", "if (family === \"redis\") {}"), 1);
    }

    #[test]
    fn prose_english_and_the_composition_root_are_fine() {
        assert_eq!(found("crates/engine/src/a.rs", "/// In Redis a database.\nfn a() {}"), 0);
        assert_eq!(found("crates/engine/src/a.rs", "fn redistribute() {}"), 0);
        assert_eq!(found("dashboard/src/a.ts", "// as in Redis"), 0);
        assert_eq!(found("crates/exodus/src/main.rs", "use family_redis::Redis;"), 0);
    }
}
