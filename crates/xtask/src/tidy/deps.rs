//! Every dependency of the workspace has a line that says why, and no line outlives its
//! dependency.

use std::collections::BTreeMap;

use super::Violation;
use super::tree::Tree;

const MANIFEST: &str = "Cargo.toml";
const REASONS: &str = "docs/dependencies.md";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let (Some(manifest), Some(reasons)) = (tree.file(MANIFEST), tree.file(REASONS)) else {
        return vec![Violation::at(
            REASONS,
            0,
            "the list of dependencies or their manifest is gone",
        )];
    };
    let declared = declared(&manifest.text);
    let reasoned = reasoned(&reasons.text);
    let mut found = Vec::new();
    for (name, line) in &declared {
        if !reasoned.contains_key(name) {
            let what = format!("`{name}` has no line in {REASONS} that says why");
            found.push(Violation::at(MANIFEST, *line, what));
        }
    }
    for (name, (line, why)) in &reasoned {
        if !declared.contains_key(name) {
            found.push(Violation::at(
                REASONS,
                *line,
                format!("`{name}` is no dependency any more"),
            ));
        }
        if why.len() < 12 {
            found.push(Violation::at(REASONS, *line, format!("`{name}` has no real reason")));
        }
    }
    found
}

/// Names under `[workspace.dependencies]` that are not ours, with their lines.
fn declared(manifest: &str) -> BTreeMap<String, usize> {
    let mut inside = false;
    let mut names = BTreeMap::new();
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if let (true, Some((name, value))) = (inside, line.split_once('='))
            && !name.starts_with('#')
            && !value.contains("path =")
        {
            names.insert(name.trim().to_owned(), number);
        }
    }
    names
}

/// Rows of the form ``| `name` | why |``, with their lines.
fn reasoned(text: &str) -> BTreeMap<String, (usize, String)> {
    let row = |(number, line): (usize, &str)| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` |")?;
        Some((name.to_owned(), (number, rest.trim_matches([' ', '|']).to_owned())))
    };
    (1..).zip(text.lines()).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "[workspace.dependencies]\n# Ours.\nmodel = { path = \"crates/model\" }\n\
        bytes = \"1\"\nserde = { version = \"1\" }\n\n[profile.dev]\nopt-level = 1\n";
    const DOC: &str = "| name | why |\n|---|---|\n| `bytes` | shared buffers without copying |\n\
        | `serde` | the boundary towards clients |\n";

    fn found(cargo: &str, doc: &str) -> Vec<String> {
        let tree = Tree::of(&[(MANIFEST, cargo), (REASONS, doc)]);
        check(&tree).into_iter().map(|v| v.to_string()).collect()
    }

    #[test]
    fn both_lists_agree() {
        assert_eq!(found(CARGO, DOC), [] as [String; 0]);
    }

    #[test]
    fn a_missing_a_stale_and_an_empty_reason_are_found() {
        assert_eq!(found(CARGO, &DOC.replace("`serde`", "`serdo`")).len(), 2);
        assert_eq!(found(CARGO, &DOC.replace("shared buffers without copying", "x")).len(), 1);
    }
}
