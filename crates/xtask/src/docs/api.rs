//! The tables of routes and of verbs, from the crate that defines them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::types::snake;
use crate::tidy::tree::Tree;

const ROUTES: &str = "crates/api/src/lib.rs";
const VERBS: &str = "crates/api/src/verb.rs";

/// The routes, as the crate's own documentation lists them.
pub(crate) fn routes(tree: &Tree) -> Option<String> {
    let rows = tree.file(ROUTES)?.text.lines().filter_map(|l| l.strip_prefix("//! |"));
    // Links inside the crate's documentation are plain names here.
    let rows = rows.map(|row| format!("|{}\n", row.replace("[`", "`").replace("`]", "`")));
    Some(rows.collect()).filter(|table: &String| !table.is_empty())
}

/// The verbs: who may, what they touch, what they ask for.
pub(crate) fn verbs(tree: &Tree) -> Option<String> {
    let rust = tree.file(VERBS)?.rust.as_ref()?;
    let roles = roles(&rust.uncommented);
    let (_, list) = rust.uncommented.split_once("\nverbs! {\n")?;
    let (list, _) = list.split_once("\n}\n")?;
    let mut out = String::from("| verb | effect | asks for | who |\n|---|---|---|---|\n");
    for entry in list.split(";\n").map(|e| e.trim().trim_end_matches(';')) {
        let Some(verb) = verb(entry) else { continue };
        let who = roles.get(verb.roles).cloned().unwrap_or_default();
        let _ = writeln!(
            out,
            "| `{}` | {}. {} | {} | {who} |",
            verb.name, verb.summary, verb.radius, verb.asks
        );
    }
    Some(out)
}

struct Verb<'a> {
    name: &'a str,
    summary: &'a str,
    radius: &'a str,
    roles: &'a str,
    asks: String,
}

/// One entry: `Name = "wire", ROLES, FLAGS, ["argument", …], "summary", "blast radius"`.
fn verb(entry: &str) -> Option<Verb<'_>> {
    let literals: Vec<&str> = entry.split('"').skip(1).step_by(2).collect();
    let [name, arguments @ .., summary, radius] = literals.as_slice() else { return None };
    let mut words = entry.split(", ").skip(1);
    let (roles, flags) = (words.next()?, words.next()?);
    let mut asks: Vec<String> =
        arguments.iter().map(|a| format!("`{}`", a.replace('|', "\\|"))).collect();
    if matches!(flags, "CAREFUL" | "GRAVE") {
        asks.push("confirmation".to_owned());
    }
    if matches!(flags, "REASONED" | "GRAVE") {
        asks.push("a reason".to_owned());
    }
    if flags == "AT_ONCE" {
        asks.push("nothing: acts at once".to_owned());
    }
    Some(Verb { name, summary, radius, roles, asks: asks.join(", ") })
}

/// `const NAME: &[Role] = &[Role::A, …];` as names of roles.
fn roles(text: &str) -> BTreeMap<&str, String> {
    let mut found = BTreeMap::new();
    for item in text.split("const ").skip(1) {
        let Some((name, rest)) = item.split_once(": &[Role] = &[") else { continue };
        let list = rest.split(']').next().unwrap_or_default();
        let names = list.split("Role::").skip(1);
        let names = names.map(|r| snake(r.trim_end_matches([',', ' ', '\n'])));
        found.insert(name, names.collect::<Vec<_>>().join(", "));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "const UNDO: &[Role] = &[\n    Role::Operator,\n    Role::DecisionOwner,\n];\n\
        \nverbs! {\n    Hold = \"hold\", UNDO, PLAIN, [], \"Stay here\",\n        \"Nothing moves.\";\n    \
        Drop = \"drop\", UNDO, GRAVE, [\"ids: [string]\"], \"Give up\",\n        \"They differ.\";\n}\n";

    #[test]
    fn verbs_say_what_they_ask_for_and_who_may() {
        let made = verbs(&Tree::of(&[(VERBS, TEXT)])).unwrap();
        let hold = "| `hold` | Stay here. Nothing moves. |  | operator, decision_owner |";
        assert!(made.contains(hold), "{made}");
        let drop = "| `drop` | Give up. They differ. | `ids: [string]`, confirmation, a reason |";
        assert!(made.contains(drop), "{made}");
    }

    #[test]
    fn routes_are_the_rows_of_the_documentation() {
        let text = "//! Words.\n//! | a | b |\n//! |---|---|\n//! | GET | [`Ready`] |\n";
        let made = routes(&Tree::of(&[(ROUTES, text)]));
        assert_eq!(made.as_deref(), Some("| a | b |\n|---|---|\n| GET | `Ready` |\n"));
        assert_eq!(routes(&Tree::of(&[])), None);
    }
}
