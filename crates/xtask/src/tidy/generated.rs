//! The generated part of a document says what its source says.

use super::Violation;
use super::tree::Tree;
use crate::docs::{made, replaced};

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for made in made(tree) {
        let (Some(text), Some(page)) = (&made.text, tree.file(made.path)) else { continue };
        match replaced(&page.text, text) {
            Some(new) if new == page.text => {}
            Some(_) => {
                found.push(Violation::at(made.path, 0, "is out of date; run `cargo xtask docs`"));
            }
            None => found.push(Violation::at(made.path, 0, "lacks the marks of its made part")),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "docs/guide/metrics.md";

    #[test]
    fn a_page_without_marks_and_an_outdated_one_are_found() {
        let source = ("crates/a/src/lib.rs", "gauge!(\"exodus_b\")");
        assert_eq!(check(&Tree::of(&[source, (PAGE, "text")])).len(), 1);
        let outdated = "<!-- made by `cargo xtask docs` from here -->\n\nold\n\n<!-- to here -->\n";
        let tree = Tree::of(&[source, (PAGE, outdated)]);
        assert_eq!(check(&tree).len(), 1);
        let text = made(&tree).pop().and_then(|m| m.text).unwrap();
        let current = replaced(outdated, &text).unwrap();
        assert_eq!(check(&Tree::of(&[source, (PAGE, &current)])), []);
    }
}
