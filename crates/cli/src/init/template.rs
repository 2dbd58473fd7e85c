//! The commented configuration that `init` writes.

use super::{Answers, Place};

const TEMPLATE: &str = include_str!("template.txt");
const OWNERS: &[&str] = &[
    "operator",
    "database_owner",
    "application_owner",
    "rollback_approver",
    "decision_owner",
    "escalation",
];

/// The document, with the values that everybody has to choose.
pub(crate) fn config(answers: &Answers) -> String {
    let Answers { name, environment, source, target, listen, family } = answers;
    let database = |place: &Place| match (&place.database, family.databases) {
        (Some(name), _) => format!("  database: {name}\n"),
        (None, true) => {
            "  # database: NAME          # the database to move; the account's own without it\n"
                .to_owned()
        }
        (None, false) => String::new(),
    };
    // Without a name an owner stays a comment: an invented one would pass the check.
    let owners: Vec<_> = OWNERS.iter().map(|role| format!("#   {role}: NAME")).collect();
    let owners = owners.join("\n");
    let block = if family.block.is_empty() {
        String::new()
    } else {
        let lines: String = family.block.lines().map(|l| format!("#   {l}\n")).collect();
        format!("\n# options:                    # of this family only\n{lines}")
    };
    TEMPLATE
        .replace("{name}", name)
        .replace("{environment}", environment)
        .replace("{family}", family.name)
        .replace("{owners}", &owners)
        .replace("{source_database}", &database(source))
        .replace("{target_database}", &database(target))
        .replace("{source}", &source.address)
        .replace("{target}", &target.address)
        .replace("{listen}", listen)
        .replace("{block}", &block)
        .trim_end()
        .to_owned()
        + "\n"
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
