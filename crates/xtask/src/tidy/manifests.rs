//! Every crate inherits the workspace's lints, edition and licence, and takes versions of its
//! dependencies from the root manifest alone.

use super::Violation;
use super::tree::{File, Tree};

const INHERITED: &[&str] = &[
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
    "[lints]\nworkspace = true",
];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let is_manifest = |f: &&File| f.path.starts_with("crates/") && f.path.ends_with("/Cargo.toml");
    tree.files.iter().filter(is_manifest).flat_map(check_manifest).collect()
}

fn check_manifest(file: &File) -> Vec<Violation> {
    let mut found: Vec<Violation> = INHERITED
        .iter()
        .filter(|line| !file.text.contains(**line))
        .map(|line| Violation::at(&file.path, 0, format!("lacks `{}`", line.replace('\n', " "))))
        .collect();
    if !file.text.contains("\ndescription = ") {
        found.push(Violation::at(&file.path, 0, "lacks a description"));
    }
    let mut in_dependencies = false;
    for (number, line) in file.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
            let what = "take the version from the root manifest: `name.workspace = true`";
            found.push(Violation::at(&file.path, number, what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"A.\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        publish.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\n\
        bytes.workspace = true\nredis = { workspace = true, features = [\"tls\"] }\n";

    fn found(text: &str) -> usize {
        check(&Tree::of(&[("crates/a/Cargo.toml", text)])).len()
    }

    #[test]
    fn inheriting_everything_is_tidy() {
        assert_eq!(found(GOOD), 0);
    }

    #[test]
    fn own_versions_and_missing_lints_are_found() {
        assert_eq!(found(&format!("{GOOD}serde = \"1\"\n")), 1);
        assert_eq!(found(&GOOD.replace("[lints]\nworkspace = true\n", "")), 1);
        assert_eq!(found(&GOOD.replace("description", "about")), 1);
    }
}
