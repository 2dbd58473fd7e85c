//! Nothing half done is landed: it is done, or it stands in the documents as a known limit.

use super::Violation;
use super::tree::{File, Tree};

/// Markers of unfinished work, wherever they stand.
const MARKERS: &[&str] = &["TODO", "FIXME"];

/// Macros and attributes that switch work or proof off.
const SWITCHED_OFF: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Files that must be able to name the markers.
const ABOUT_MARKERS: &[&str] = &["crates/xtask/src/tidy/", "docs/", "Cargo.toml", "clippy.toml"];

const SOURCES: &[&str] =
    &[".rs", ".ts", ".js", ".mjs", ".css", ".html", ".toml", ".sh", ".yml", ".yaml"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.files.iter().filter(|f| is_source(&f.path)).flat_map(check_file).collect()
}

fn is_source(path: &str) -> bool {
    let named = SOURCES.iter().any(|end| path.ends_with(end));
    (named || path.starts_with("scripts/") || path.starts_with(".ci/"))
        && !ABOUT_MARKERS.iter().any(|start| path.starts_with(start))
}

fn check_file(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in file.lines() {
        for word in MARKERS.iter().filter(|m| has_word(line, m)) {
            found.push(Violation::at(&file.path, number, format!("`{word}` in a landed file")));
        }
    }
    if let Some(rust) = &file.rust {
        for (number, line) in rust.code_lines() {
            for word in SWITCHED_OFF.iter().filter(|w| line.contains(**w)) {
                found.push(Violation::at(&file.path, number, format!("`{word}` in a landed file")));
            }
        }
    }
    found
}

/// Whether `word` stands alone in the line (`TODO`, but not `TODOS` or `MASTODON`).
fn has_word(line: &str, word: &str) -> bool {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        !part(at.checked_sub(1).and_then(|i| bytes.get(i))) && !part(bytes.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn markers_are_found_in_code_comments_and_scripts() {
        assert_eq!(found("crates/a/src/lib.rs", "// TODO: later"), 1);
        assert_eq!(found("scripts/setup", "# FIXME"), 1);
        assert_eq!(found("crates/a/src/lib.rs", "fn a() { todo!() }"), 1);
        assert_eq!(found("crates/a/tests/b.rs", "#[ignore = \"slow\"]"), 1);
    }

    #[test]
    fn words_that_contain_a_marker_and_documents_are_fine() {
        assert_eq!(found("crates/a/src/lib.rs", "const MASTODON: u8 = 1;"), 0);
        assert_eq!(found("docs/STATUS.md", "TODO"), 0);
        assert_eq!(found("crates/a/src/lib.rs", "let a = \"todo!()\";"), 0);
    }
}
