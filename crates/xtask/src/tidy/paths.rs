//! No path of somebody's machine in anything that is landed.

use super::Violation;
use super::tree::Tree;

/// Folders that exist only where somebody worked.
const ANYWHERE: &[&str] = &["/work/", "/root/", "/tmp/bp"];
/// Folders a document has no business naming; tests and scripts may use them.
const IN_DOCUMENTS: &[&str] = &["/tmp/", "/home/"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|f| f.path != "crates/xtask/src/tidy/paths.rs") {
        let document = file.path.ends_with(".md");
        for (number, line) in file.lines() {
            let places = IN_DOCUMENTS.iter().filter(|_| document).chain(ANYWHERE);
            for place in places.filter(|p| starts_a_path(line, p)) {
                let what = format!("`{place}…` is a path of one machine");
                found.push(Violation::at(&file.path, number, what));
            }
        }
    }
    found
}

/// Whether an absolute path in the line starts with `place` (`/work/x`, not `a/work/x`).
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|i| line.as_bytes().get(i));
        !before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(found("crates/a/src/lib.rs", "\"/root/x\""), 1);
        assert_eq!(found("docs/a.md", "see `/tmp/x`"), 1);
        assert_eq!(found("docs/a.md", "cd /work/main"), 1);
    }

    #[test]
    fn relative_paths_and_temporary_files_of_tests_are_fine() {
        assert_eq!(found("docs/a.md", "spec/work/plan"), 0);
        assert_eq!(found("crates/a/tests/b.rs", "\"/tmp/x\""), 0);
    }
}
