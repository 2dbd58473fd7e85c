//! The commented configuration that `init` writes.

use super::Answers;

/// The document, every value that most people change first.
pub(crate) fn config(a: &Answers) -> String {
    let block: String = a.family.block.lines().map(|l| format!("  {l}\n")).collect();
    let Answers { name, source, target, listen, family } = a;
    let family = family.name;
    format!(
        "name: {name}\nfamily: {family}\nsource:\n  address: {source}\ntarget:\n  address: {target}\ninterlay:\n  listen: {listen}\n{block}"
    )
}

/// Exchanges the top-level sections `source` and `target`, comments included.
pub(crate) fn reverse(text: &str) -> Option<String> {
    let head = |name: &str| text.lines().position(|l| l.starts_with(&format!("{name}:")));
    head("source")?;
    head("target")?;
    let swapped = text.lines().map(|line| {
        if let Some(rest) = line.strip_prefix("source:") {
            format!("target:{rest}\n")
        } else if let Some(rest) = line.strip_prefix("target:") {
            format!("source:{rest}\n")
        } else {
            format!("{line}\n")
        }
    });
    Some(swapped.collect())
}
