//! The table of metrics, from the names the sources register or describe.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::tidy::tree::Tree;

/// Every metric's name with its kind and, where one is given, its description.
pub(crate) fn table(tree: &Tree) -> Option<String> {
    let mut found: BTreeMap<String, (&str, String)> = BTreeMap::new();
    for file in tree.files.iter().filter(|f| counts(&f.path)) {
        let Some(rust) = &file.rust else { continue };
        for kind in ["counter", "gauge", "histogram"] {
            for (name, about) in calls(&rust.uncommented, kind) {
                let entry = found.entry(name).or_insert_with(|| (kind, String::new()));
                if entry.1.is_empty() {
                    entry.1 = about;
                }
            }
        }
    }
    if found.is_empty() {
        return None;
    }
    let mut out = String::from("| metric | kind | |\n|---|---|---|\n");
    for (name, (kind, about)) in found {
        let _ = writeln!(out, "| `{name}` | {kind} | {about} |");
    }
    Some(out)
}

fn counts(path: &str) -> bool {
    path.starts_with("crates/") && !path.starts_with("crates/xtask/") && !path.contains("/tests/")
}

/// A metric of the product, not one that a unit test makes up.
fn counted(name: &str) -> bool {
    name.starts_with("exodus_") && !name.starts_with("exodus_tests_")
}

/// Names and descriptions handed to `counter!`, `describe_counter!` and their relatives.
fn calls(text: &str, kind: &str) -> Vec<(String, String)> {
    let call = format!("{kind}!(");
    let mut names = Vec::new();
    for (at, _) in text.match_indices(&call) {
        let described = text[..at].ends_with("describe_");
        let inside = &text[at + call.len()..];
        let inside = &inside[..inside.find(';').unwrap_or(inside.len())];
        let mut literals = inside.split('"').skip(1).step_by(2);
        let first = inside.trim_start().starts_with('"').then(|| literals.next()).flatten();
        let Some(name) = first.filter(|n| counted(n)) else { continue };
        let about = if described { literals.last().unwrap_or_default() } else { "" };
        names.push((name.to_owned(), about.to_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_once_with_their_description() {
        let text = "counter!(\"exodus_a_total\", \"side\" => \"source\").increment(1);\n\
            describe_counter!(\"exodus_a_total\", Unit::Count, \"How many.\");\n\
            gauge!(\n    \"exodus_b\"\n).set(1.0); gauge!(\"exodus_tests_x\");\n";
        let tree = Tree::of(&[("crates/a/src/lib.rs", text)]);
        let made = table(&tree).unwrap();
        assert!(made.contains("| `exodus_a_total` | counter | How many. |"), "{made}");
        assert!(made.contains("| `exodus_b` | gauge |  |"), "{made}");
        assert!(!made.contains("exodus_tests_x"), "{made}");
    }

    #[test]
    fn without_metrics_nothing_is_made() {
        assert_eq!(table(&Tree::of(&[("crates/a/src/lib.rs", "fn a() {}")])), None);
    }
}
