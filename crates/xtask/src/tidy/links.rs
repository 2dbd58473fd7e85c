//! Every relative link in a document resolves, and every document is reachable from the index.

use std::collections::BTreeSet;

use super::Violation;
use super::tree::{File, Tree};

const INDEX: &str = "docs/README.md";

/// Found by their code (`exodus explain`), not by a list.
const BY_CODE: &str = "docs/errors/EXO-";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let paths: BTreeSet<&str> = tree.files.iter().map(|f| f.path.as_str()).collect();
    let exists = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty() || paths.contains(path) || paths.iter().any(|p| p.starts_with(&folder))
    };
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|f| f.path.ends_with(".md")) {
        for (line, link) in links(file) {
            if !exists(&resolve(&file.path, link)) {
                found.push(Violation::at(&file.path, line, format!("`{link}` leads nowhere")));
            }
        }
    }
    let reached = reached(tree);
    for file in &tree.files {
        let document = file.path.starts_with("docs/") && file.path.ends_with(".md");
        if document && !file.path.starts_with(BY_CODE) && !reached.contains(&file.path) {
            let what = format!("not reachable from {INDEX}");
            found.push(Violation::at(&file.path, 0, what));
        }
    }
    found
}

fn reached(tree: &Tree) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![INDEX.to_owned()];
    while let Some(path) = next.pop() {
        let Some(file) = tree.file(&path) else { continue };
        if reached.insert(path) && file.path.ends_with(".md") {
            next.extend(links(file).into_iter().map(|(_, link)| resolve(&file.path, link)));
        }
    }
    reached
}

/// Relative targets of `[text](target)` outside code, without their anchors.
fn links(file: &File) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            let in_code = line[..at].matches('`').count() % 2 == 1;
            if !target.is_empty() && !target.contains("://") && !in_code {
                found.push((number, target));
            }
        }
    }
    found
}

/// The path a link leads to, from the file it stands in.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').collect(),
    };
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|v| v.to_string()).collect()
    }

    #[test]
    fn a_closed_web_is_tidy() {
        let files = [
            ("docs/README.md", "[a](guide/a.md#top) [code](../crates) [web](https://example.org)"),
            ("docs/guide/a.md", "[back](../README.md)\n```\n[x](nowhere.md)\n```\n`[y](no.md)`"),
            ("docs/errors/EXO-RED-001.md", "# EXO-RED-001: x"),
            ("crates/a/src/lib.rs", ""),
        ];
        assert_eq!(found(&files), [] as [String; 0]);
    }

    #[test]
    fn broken_links_and_orphans_are_found() {
        assert_eq!(found(&[("docs/README.md", "[a](gone.md)")]).len(), 1);
        assert_eq!(found(&[("docs/README.md", ""), ("docs/lonely.md", "")]).len(), 1);
    }
}
