//! No file grows without end. There is no list of exceptions: a long file is split.

use super::Violation;
use super::tree::{File, Tree};

/// Most lines of a source file.
const LINES_MAX: usize = 500;
/// Most lines of a file that holds only tests.
const TEST_LINES_MAX: usize = 800;
/// Most columns of code rustfmt could not break. A comment may hold a wide table, and attributes,
/// which rustfmt leaves alone, may describe a route in one line.
const COLUMNS_MAX: usize = 200;

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.files.iter().filter(|f| f.rust.is_some()).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    let max = if is_test(&file.path) { TEST_LINES_MAX } else { LINES_MAX };
    let lines = file.text.lines().count();
    if lines > max {
        found.push(Violation::at(&file.path, 0, format!("{lines} lines, at most {max}")));
    }
    let uncommented = file.rust.as_ref().map_or("", |rust| rust.uncommented.as_str());
    for (number, line) in (1..).zip(uncommented.lines()) {
        let columns = line.trim_end().chars().count();
        if columns > COLUMNS_MAX && !line.trim_start().starts_with("#[") {
            let what = format!("{columns} columns, at most {COLUMNS_MAX}");
            found.push(Violation::at(&file.path, number, what));
        }
    }
    found
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, lines: usize) -> usize {
        check(&Tree::of(&[(path, &"x\n".repeat(lines))])).len()
    }

    #[test]
    fn a_long_file_is_found_and_tests_may_be_longer() {
        assert_eq!(found("crates/a/src/lib.rs", LINES_MAX), 0);
        assert_eq!(found("crates/a/src/lib.rs", LINES_MAX + 1), 1);
        assert_eq!(found("crates/a/tests/b.rs", TEST_LINES_MAX), 0);
        assert_eq!(found("crates/a/tests/b.rs", TEST_LINES_MAX + 1), 1);
    }

    #[test]
    fn a_wide_line_of_code_is_found_and_a_wide_comment_is_not() {
        let wide = "x".repeat(COLUMNS_MAX + 1);
        assert_eq!(check(&Tree::of(&[("crates/a/src/lib.rs", &wide)])).len(), 1);
        for fine in [format!("// {wide}"), format!("#[path({wide})]")] {
            assert_eq!(check(&Tree::of(&[("crates/a/src/lib.rs", &fine)])).len(), 0);
        }
    }
}
