//! Parts of documents that are made from sources, so that they cannot say something else.
//!
//! Constraints: a generator is a pure function from the tree to text; `cargo xtask docs` writes
//! what it returns between two marks, tidy's rule `generated` compares. Prose around the marks is
//! written by people.
//!
//! Layout: `types` reads structs with their comments, `api` makes the tables of routes and verbs, `config` makes the configuration's tables,
//! `metrics` the table of metrics.

mod api;
mod config;
mod metrics;
mod types;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tidy::tree::Tree;

const BEGIN: &str = "<!-- made by `cargo xtask docs` from here -->";
const END: &str = "<!-- to here -->";

/// One document with a generated part.
pub(crate) struct Made {
    /// Where it is.
    pub(crate) path: &'static str,
    /// What stands between the marks; nothing while its source does not exist.
    pub(crate) text: Option<String>,
}

/// Every generated part.
pub(crate) fn made(tree: &Tree) -> Vec<Made> {
    vec![
        Made { path: "docs/guide/api.md", text: api::routes(tree) },
        Made { path: "docs/guide/verbs.md", text: api::verbs(tree) },
        Made { path: "docs/guide/config.md", text: config::tables(tree) },
        Made { path: "docs/guide/metrics.md", text: metrics::table(tree) },
    ]
}

/// Writes every generated part.
pub(crate) fn write(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    for made in made(&tree) {
        let Some(text) = &made.text else { continue };
        let path = root.join(made.path);
        let page = std::fs::read_to_string(&path).context(made.path)?;
        let page = replaced(&page, text);
        ensure!(page.is_some(), "{}: the marks `{BEGIN}` and `{END}` are gone", made.path);
        std::fs::write(&path, page.unwrap_or_default()).context(made.path)?;
    }
    Ok(())
}

/// The page with another generated part; nothing when the marks are missing.
pub(crate) fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replaced(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(replaced(&new, "new"), Some(new.clone()));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
