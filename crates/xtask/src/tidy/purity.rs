//! Pure crates do no IO, read no clock, spawn nothing: a dependency table cannot see `std`.

use super::Violation;
use super::tree::Tree;

const PURE: &[&str] =
    &["model", "routing", "workflow", "wire-redis", "wire-postgres", "wire-mongo"];

const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "println!",
    "eprintln!",
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in PURE.iter().flat_map(|name| tree.sources(name)) {
        let Some(rust) = &file.rust else { continue };
        for (line, code) in rust.code_lines() {
            for word in IMPURE.iter().filter(|w| code.contains(**w)) {
                let what = format!("`{word}` in a crate without IO; pass it in as an argument");
                found.push(Violation::at(&file.path, line, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_a_pure_crate_is_found_and_prose_is_not() {
        let bad = Tree::of(&[("crates/workflow/src/a.rs", "let t = Instant::now();")]);
        assert_eq!(check(&bad).len(), 1);
        let good = Tree::of(&[
            ("crates/workflow/src/a.rs", "// Instant::now() is forbidden here\n"),
            ("crates/engine/src/a.rs", "let t = Instant::now();"),
        ]);
        assert_eq!(check(&good), []);
    }
}
