//! Whoever allows or expects a lint says why, in the attribute itself.

use super::Violation;
use super::tree::{File, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Violation> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let mut found = Vec::new();
    for word in ["allow(", "expect("] {
        for open in ["#[", "#!["] {
            let attribute = format!("{open}{word}");
            for (at, _) in rust.code.match_indices(&attribute) {
                let rest = &rust.code[at..];
                let body = &rest[..rest.find(")]").unwrap_or(rest.len())];
                if !body.contains("reason") {
                    let line = 1 + rust.code[..at].matches('\n').count();
                    let what = format!("`{attribute}…)]` without `reason = \"…\"`");
                    found.push(Violation::at(&file.path, line, what));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Tree::of(&[("crates/a/src/lib.rs", text)])).len()
    }

    #[test]
    fn an_unexplained_allow_is_found() {
        assert_eq!(found("#[allow(dead_code)]\nfn a() {}"), 1);
        assert_eq!(found("#![expect(\n    dead_code\n)]"), 1);
    }

    #[test]
    fn an_explained_one_and_a_method_call_are_fine() {
        assert_eq!(found("#[allow(dead_code, reason = \"only tests read it\")]"), 0);
        assert_eq!(found("let a = b.expect(\"c\");"), 0);
    }
}
