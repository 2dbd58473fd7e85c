//! The table *state × allowed verbs* as the guide shows it, made from the code that decides.

use std::fmt::Write;

use crate::event::VerbKind;
use crate::needs::forward;
use crate::place::Place;
use crate::verbs::{permitted, spelt};

/// The page `docs/guide/states.md`.
#[must_use]
pub fn docs_table() -> String {
    let mut page = String::from(HEAD);
    page.push_str("| step | phase | forward | verbs |\n|---|---|---|---|\n");
    for place in Place::ALL {
        let forward = match forward(*place) {
            Some(verb) => format!("`{}`", spelt(verb)),
            None if place.is_final() => "–".to_owned(),
            None => "by itself".to_owned(),
        };
        let verbs = VerbKind::ALL
            .iter()
            .filter(|verb| permitted(*place, **verb) && !everywhere(**verb))
            .map(|verb| format!("`{}`", spelt(*verb)))
            .collect::<Vec<_>>()
            .join(" ");
        writeln!(page, "| {place} | {} | {forward} | {verbs} |", place.phase())
            .expect("writing to a string cannot fail");
    }
    page.push_str("\nIn every step that is not final also: ");
    let common: Vec<_> = VerbKind::ALL
        .iter()
        .filter(|verb| everywhere(**verb))
        .map(|verb| format!("`{}`", spelt(*verb)))
        .collect();
    page.push_str(&common.join(" "));
    page.push_str(".\n");
    page
}

const HEAD: &str = "\
# States and verbs

<!-- Generated from crates/workflow; `UPDATE=1 cargo test -p workflow --test states` rewrites it. -->

Every step a run can be at, the verb that leads forward, and the verbs that are valid there. A
verb that is valid may still be refused because something is missing; the refusal says what, and
`status` shows it beforehand. `rollback` and `panic` are never refused before a run is final.

";

/// Verbs valid in every step that is not final.
fn everywhere(verb: VerbKind) -> bool {
    Place::ALL.iter().filter(|place| !place.is_final()).all(|place| permitted(*place, verb))
}
