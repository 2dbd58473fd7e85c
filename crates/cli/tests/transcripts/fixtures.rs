//! The dashboard's fixtures are written by the API's own types, so that its TypeScript model is
//! checked against them. `EXODUS_UPDATE_FIXTURES=1 cargo test -p cli ` renews them.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::documents::{envelope, fleet, status, trouble};

fn check(name: &str, document: &Value) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dashboard/test/fixtures").join(name);
    let expected = format!("{document:#}\n");
    if std::env::var_os("EXODUS_UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &expected).expect("the fixtures' folder is there");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not what the API's types say; see this file's head");
}

#[test]
fn documents() {
    check("status.json", &envelope(&actionable(status())));
    check("trouble.json", &envelope(&actionable(trouble())));
    check("fleet.json", &fleet());
}

#[test]
fn verbs() {
    check("verbs.json", &envelope(&api::VERBS));
}

/// With every verb, as the server lists them: what is not allowed says why.
fn actionable(mut status: api::Status) -> api::Status {
    let allowed =
        ["advance", "hold", "step_back", "rollback", "panic", "verify_run", "queue_retry"];
    status.allowed_actions = api::VERBS
        .iter()
        .map(|verb| {
            let yes = allowed.contains(&verb.name);
            api::AllowedAction {
                verb: verb.name.to_owned(),
                allowed: yes,
                why_not: (!yes).then(|| "not at this step".to_owned()),
                blast_radius: verb.blast_radius.to_owned(),
                command: format!("exodus {}", verb.name.replace('_', "-")),
            }
        })
        .collect();
    status
}
