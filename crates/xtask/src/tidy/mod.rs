//! Rules of the house that no compiler holds.
//!
//! Constraints: a rule is a pure function from the tree to violations, so that its tests can
//! hand it a tree of literals and prove that it catches what it claims to catch. The whole run
//! stays under a second; reading the tree is the only IO.
//!
//! Layout: `tree` reads the repository, `lex` tells code from comments and literals, every other
//! module is one rule.

mod allow;
mod deps;
mod errors;
mod generated;
mod layers;
mod leftovers;
mod length;
mod lex;
mod links;
mod manifests;
mod metrics;
mod names;
mod paths;
mod purity;
pub(crate) mod tree;
mod verbs;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use tree::Tree;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Violation {
    /// A violation at a one-based line; 0 means the whole file.
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

struct Rule {
    name: &'static str,
    about: &'static str,
    check: fn(&Tree) -> Vec<Violation>,
}

const RULES: &[Rule] = &[
    Rule { name: "layers", about: "who may depend on whom", check: layers::check },
    Rule { name: "purity", about: "pure crates do no IO and read no clock", check: purity::check },
    Rule { name: "names", about: "family-blind crates name no family", check: names::check },
    Rule { name: "manifests", about: "crates inherit lints and versions", check: manifests::check },
    Rule { name: "deps", about: "every dependency is justified", check: deps::check },
    Rule { name: "errors", about: "every error code has its page", check: errors::check },
    Rule { name: "metrics", about: "metric names follow the scheme", check: metrics::check },
    Rule { name: "verbs", about: "a run has no cancel, abort, stop, delete", check: verbs::check },
    Rule { name: "leftovers", about: "nothing half done is landed", check: leftovers::check },
    Rule { name: "allow", about: "every allowed lint says why", check: allow::check },
    Rule { name: "length", about: "no file grows without end", check: length::check },
    Rule { name: "generated", about: "made documents are current", check: generated::check },
    Rule { name: "links", about: "documents are reachable, links resolve", check: links::check },
    Rule { name: "paths", about: "no path of somebody's machine", check: paths::check },
];

/// Prints the rules.
pub(crate) fn list() {
    for rule in RULES {
        println!("{:<10} {}", rule.name, rule.about);
    }
}

/// Checks the repository and prints what is wrong. `Ok(true)` when nothing is.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let start = Instant::now();
    let tree = Tree::read(root)?;
    let mut found = 0_usize;
    for rule in RULES {
        let mut violations = (rule.check)(&tree);
        violations.sort();
        found += violations.len();
        for violation in violations {
            println!("tidy[{}] {violation}", rule.name);
        }
    }
    let (rules, files) = (RULES.len(), tree.files.len());
    let ms = start.elapsed().as_millis();
    eprintln!("tidy: {rules} rules over {files} files in {ms} ms, {found} violation(s)");
    Ok(found == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let tree = Tree::read(&crate::root()).unwrap();
        let found: Vec<String> = RULES
            .iter()
            .flat_map(|rule| {
                (rule.check)(&tree).into_iter().map(|v| format!("[{}] {v}", rule.name))
            })
            .collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_violation_prints_where_it_is() {
        assert_eq!(Violation::at("a.rs", 3, "x").to_string(), "a.rs:3: x");
        assert_eq!(Violation::at("a.rs", 0, "x").to_string(), "a.rs: x");
    }
}
