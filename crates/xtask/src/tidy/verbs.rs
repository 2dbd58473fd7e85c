//! On a run there is no cancel, abort, stop or delete: an operator is never left to guess which
//! of them keeps the data flowing.

use super::Violation;
use super::tree::Tree;

const FORBIDDEN: &[&str] = &["cancel", "abort", "stop", "delete"];

/// Enums whose verbs act on something smaller than a run: a tap or an analysis may be stopped.
const EXEMPT: &[&str] = &["Tap", "Analysis"];

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in ["cli", "exodus"].iter().flat_map(|name| tree.sources(name)) {
        let Some(rust) = &file.rust else { continue };
        for (line, variant) in subcommands(&rust.code) {
            let what = format!("`{variant}` is no verb of this product");
            found.push(Violation::at(&file.path, line, what));
        }
    }
    for file in ["api", "control", "cli"].iter().flat_map(|name| tree.sources(name)) {
        let Some(rust) = &file.rust else { continue };
        for (line, literal) in rust.strings().into_iter().filter(|(_, s)| s.starts_with("/api/")) {
            let mut parts = literal.split('/').skip_while(|p| !matches!(*p, "migrations" | "runs"));
            if let Some(verb) = parts.find(|p| FORBIDDEN.contains(p) && !literal.contains("/tap"))
                && !literal.contains("/analysis/")
            {
                let what = format!("`{verb}` is no verb of this product");
                found.push(Violation::at(&file.path, line, what));
            }
        }
    }
    found
}

/// Forbidden variants of enums that derive `Subcommand`, with their lines.
fn subcommands(code: &str) -> Vec<(usize, &str)> {
    let (mut derived, mut inside) = (false, false);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let trimmed = line.trim();
        if trimmed.starts_with("#[derive(") {
            derived = trimmed.contains("Subcommand");
        } else if let Some((_, rest)) = trimmed.split_once("enum ") {
            inside = derived && !EXEMPT.iter().any(|e| rest.starts_with(e));
            derived = false;
        } else if line.starts_with('}') {
            inside = false;
        } else if inside {
            let word = trimmed.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            // One indentation step is a variant, two are its fields.
            let variant = line.starts_with("    ") && !line.starts_with("     ");
            if variant && FORBIDDEN.contains(&word.to_ascii_lowercase().as_str()) {
                found.push((number, word));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_forbidden_verb_is_found_in_commands_and_routes() {
        let text = "#[derive(Debug, Subcommand)]\npub enum Verb {\n    Status,\n    Cancel,\n}\n";
        assert_eq!(found("crates/cli/src/a.rs", text), 1);
        let text = "route(\"/api/v1/migrations/{id}/stop\")";
        assert_eq!(found("crates/control/src/a.rs", text), 1);
    }

    #[test]
    fn other_enums_taps_and_fields_are_fine() {
        let text = "#[derive(Debug)]\nenum State {\n    Stop,\n}\n";
        assert_eq!(found("crates/cli/src/a.rs", text), 0);
        let text = "#[derive(Subcommand)]\nenum TapVerb {\n    Start,\n    Stop,\n}\n";
        assert_eq!(found("crates/cli/src/a.rs", text), 0);
        let text =
            "#[derive(Subcommand)]\nenum Verb {\n    Hold {\n        stop: bool,\n    },\n}\n";
        assert_eq!(found("crates/cli/src/a.rs", text), 0);
    }
}
