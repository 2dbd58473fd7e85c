//! Every error code has a page, every page a code, and every page the sections an operator
//! looks for at night.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::tree::Tree;

const FOLDER: &str = "docs/errors/";
const INDEX: &str = "docs/errors/README.md";
/// Area of codes that unit tests make up.
const TESTS: &[u8; 3] = b"TST";
const SECTIONS: &[&str] = &["## What happened", "## Impact", "## Fix"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let used = used(tree);
    let areas = areas(tree);
    let mut found = Vec::new();
    for (code, (path, line)) in &used {
        let area = &code[4..7];
        if !areas.contains(area) {
            let what = format!("`{code}`: area {area} is not in {INDEX}");
            found.push(Violation::at(path, *line, what));
        }
        if tree.file(&format!("{FOLDER}{code}.md")).is_none() {
            found.push(Violation::at(path, *line, format!("`{code}` has no page in {FOLDER}")));
        }
    }
    for file in &tree.files {
        let Some(code) = file.path.strip_prefix(FOLDER).and_then(|n| n.strip_suffix(".md")) else {
            continue;
        };
        if code == "README" {
            continue;
        }
        if !used.contains_key(code) {
            found.push(Violation::at(&file.path, 0, "no source uses this code"));
        }
        let title = format!("# {code}: ");
        if !file.text.starts_with(&title) {
            found.push(Violation::at(&file.path, 1, format!("the title is not `{title}…`")));
        }
        for section in SECTIONS.iter().filter(|s| !file.text.contains(&format!("\n{s}\n"))) {
            found.push(Violation::at(&file.path, 0, format!("lacks the section `{section}`")));
        }
    }
    found
}

/// Codes in string literals of the product's sources, each with one place where it stands. What
/// tests make up is nobody's to look up.
fn used(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let mut codes = BTreeMap::new();
    let counts = |path: &str| !path.starts_with("crates/xtask/") && !path.contains("/tests/");
    for file in tree.files.iter().filter(|f| counts(&f.path)) {
        let Some(rust) = &file.rust else { continue };
        for (line, literal) in rust.strings() {
            for code in codes_in(literal) {
                codes.entry(code.to_owned()).or_insert_with(|| (file.path.clone(), line));
            }
        }
    }
    codes
}

fn codes_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("EXO-").filter_map(|(at, _)| {
        let code = text.get(at..at + 11)?;
        let (area, number) = (&code.as_bytes()[4..7], &code.as_bytes()[8..]);
        let shaped = area != TESTS
            && area.iter().all(u8::is_ascii_uppercase)
            && code.as_bytes()[7] == b'-'
            && number.iter().all(u8::is_ascii_digit);
        shaped.then_some(code)
    })
}

/// Areas listed as ``| `RED` | … |`` in the index of the pages.
fn areas(tree: &Tree) -> BTreeSet<&str> {
    let index = tree.file(INDEX).map_or("", |f| f.text.as_str());
    index.lines().filter_map(|l| l.strip_prefix("| `")?.split_once("` |")).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# EXO-RED-001: it broke\n\n## What happened\n\nx\n\n## Impact\n\nx\n\n\
        ## Fix\n\nx\n";
    const README: &str = "| area | about |\n|---|---|\n| `RED` | the family |\n";

    fn found(source: &str, pages: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![("crates/a/src/lib.rs", source), (INDEX, README)];
        files.extend(pages);
        check(&Tree::of(&files)).into_iter().map(|v| v.to_string()).collect()
    }

    #[test]
    fn a_code_with_its_page_is_tidy() {
        let page = [("docs/errors/EXO-RED-001.md", PAGE)];
        assert_eq!(found("const A: &str = \"EXO-RED-001\";", &page), [] as [String; 0]);
    }

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_found() {
        assert_eq!(found("const A: &str = \"EXO-RED-002\";", &[]).len(), 1);
        assert_eq!(found("// EXO-RED-001", &[("docs/errors/EXO-RED-001.md", PAGE)]).len(), 1);
    }

    #[test]
    fn codes_that_tests_make_up_need_no_page() {
        assert_eq!(found("const A: &str = \"EXO-TST-001\";", &[]), [] as [String; 0]);
        let tree =
            Tree::of(&[("crates/a/tests/b.rs", "let a = \"EXO-RED-009\";"), (INDEX, README)]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn an_unknown_area_and_a_page_with_holes_are_found() {
        let holes = PAGE.replace("## Impact", "## Effect").replace("# EXO-RED-001:", "#");
        let page = [("docs/errors/EXO-RED-001.md", holes.as_str())];
        assert_eq!(found("const A: &str = \"EXO-RED-001\";", &page).len(), 2);
        let page = PAGE.replace("RED", "ZZZ");
        let page = [("docs/errors/EXO-ZZZ-001.md", page.as_str())];
        assert_eq!(found("const A: &str = \"EXO-ZZZ-001\";", &page).len(), 1);
    }
}
