//! The gap register of the guide.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const REGISTER: &str = include_str!("../../../../../docs/guide/postgres-gaps.md");

/// All code below a directory in one text.
fn code(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            code(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(path).expect("a file"));
        }
    }
}

#[test]
fn the_gap_register_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    code(&root.join("src"), &mut all);
    code(&root.join("tests"), &mut all);
    code(&root.join("../exodus/tests"), &mut all);
    let (mut entries, mut counts) = (0, BTreeMap::new());
    for row in REGISTER.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, gap, found, disposition, what, shown] = cells[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        entries += 1;
        assert_eq!(number, entries, "{gap}: out of order");
        for cell in [gap, found, what, shown] {
            assert!(!cell.is_empty(), "{gap}: an empty cell");
        }
        *counts.entry(disposition).or_insert(0) += 1;
        for test in shown.split('`').skip(1).step_by(2) {
            assert!(all.contains(&format!("fn {test}(")), "{gap}: there is no test {test}");
        }
        for code in found.split([',', ' ']).filter(|word| word.starts_with("EXO-")) {
            let page = root.join("../../docs/errors").join(format!("{code}.md"));
            assert!(page.is_file(), "{gap}: there is no page of {code}");
        }
    }
    assert!(entries >= 26, "only {entries} entries");
    let dispositions = ["resolved", "mitigated", "accepted", "not yet"];
    let counted: Vec<_> = dispositions
        .iter()
        .map(|name| format!("{} {name}", counts.remove(name).unwrap_or(0)))
        .collect();
    assert!(counts.is_empty(), "unknown dispositions {counts:?}");
    let said = format!("{entries} entries: {}", counted.join(", "));
    assert!(REGISTER.contains(&said), "the page should say: {said}");
}
