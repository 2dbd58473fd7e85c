//! Who may depend on whom. `ARCHITECTURE.md` says why; this table holds it.
//!
//! Only direct dependencies are listed: what a crate may not see, none of its own dependencies
//! may re-export either, because they obey their own line.

use super::Violation;
use super::tree::{Crate, Tree};

/// What one crate may depend on.
struct Room {
    name: &'static str,
    /// Crates of this workspace it may use.
    ours: &'static [&'static str],
    /// Crates of others: which it may, or which it may not.
    theirs: Theirs,
}

enum Theirs {
    Only(&'static [&'static str]),
    Except(&'static [&'static str]),
}

/// Runtimes, sockets and clocks: what sans-IO code does without.
const RUNTIMES: &[&str] = &[
    "tokio",
    "tokio-util",
    "tokio-rustls",
    "async-trait",
    "futures-util",
    "socket2",
    "mio",
    "rusqlite",
    "serde",
    "serde_json",
    "axum",
    "jiff",
    "tracing",
    "metrics",
];

/// Formats, stores and doors: below `api` and `store` nothing is serialisable.
const BOUNDARIES: &[&str] = &[
    "serde",
    "serde_json",
    "serde-saphyr",
    "schemars",
    "utoipa",
    "utoipa-axum",
    "axum",
    "clap",
    "rusqlite",
    "rust-embed",
    "ureq",
    "anyhow",
];

/// Clients and codecs of databases: only a family may have them.
const DATABASES: &[&str] =
    &["redis", "tokio-postgres", "postgres-protocol", "pg_query", "mongodb", "bson"];

const PORTS: &[&str] = &["model", "routing", "family"];

const ROOMS: &[Room] = &[
    Room { name: "model", ours: &[], theirs: Theirs::Only(&[]) },
    Room { name: "wire-redis", ours: &[], theirs: Theirs::Except(RUNTIMES) },
    Room { name: "wire-postgres", ours: &[], theirs: Theirs::Except(RUNTIMES) },
    Room { name: "wire-mongo", ours: &[], theirs: Theirs::Except(RUNTIMES) },
    Room { name: "routing", ours: &["model"], theirs: Theirs::Only(&["xxhash-rust"]) },
    Room { name: "workflow", ours: &["model", "routing"], theirs: Theirs::Only(&["thiserror"]) },
    Room { name: "family", ours: &["model", "routing"], theirs: Theirs::Except(BOUNDARIES) },
    Room {
        name: "family-redis",
        ours: &["model", "routing", "family", "wire-redis"],
        theirs: Theirs::Except(BOUNDARIES),
    },
    Room {
        name: "family-postgres",
        ours: &["model", "routing", "family", "wire-postgres"],
        theirs: Theirs::Except(BOUNDARIES),
    },
    Room {
        name: "family-mongo",
        ours: &["model", "routing", "family", "wire-mongo"],
        theirs: Theirs::Except(BOUNDARIES),
    },
    Room { name: "family-fake", ours: PORTS, theirs: Theirs::Except(BOUNDARIES) },
    Room { name: "journal", ours: &["model"], theirs: Theirs::Except(BOUNDARIES) },
    Room { name: "store", ours: &["model"], theirs: Theirs::Except(DATABASES) },
    Room {
        name: "engine",
        ours: &["model", "routing", "family", "journal", "store"],
        theirs: Theirs::Except(BOUNDARIES),
    },
    Room {
        name: "proxy",
        ours: &["model", "routing", "family", "journal"],
        theirs: Theirs::Except(BOUNDARIES),
    },
    Room { name: "api", ours: &[], theirs: Theirs::Except(&["tokio", "axum", "rusqlite"]) },
    Room { name: "telemetry", ours: &[], theirs: Theirs::Except(DATABASES) },
    Room {
        name: "control",
        ours: &[
            "model",
            "routing",
            "workflow",
            "family",
            "journal",
            "store",
            "engine",
            "proxy",
            "api",
            "telemetry",
        ],
        theirs: Theirs::Except(DATABASES),
    },
    Room { name: "cli", ours: &["api"], theirs: Theirs::Except(&["tokio", "axum", "rusqlite"]) },
    // What judges the product shares no code with it.
    Room { name: "chaos", ours: &[], theirs: Theirs::Except(&[]) },
    Room { name: "xtask", ours: &[], theirs: Theirs::Except(&[]) },
    Room {
        name: "exodus",
        ours: &[
            "model",
            "wire-redis",
            "routing",
            "workflow",
            "family",
            "family-redis",
            "family-postgres",
            "family-mongo",
            "family-fake",
            "journal",
            "store",
            "engine",
            "proxy",
            "api",
            "telemetry",
            "control",
            "cli",
            "chaos",
        ],
        theirs: Theirs::Except(&[]),
    },
    Room {
        name: "sim",
        ours: &[
            "model",
            "routing",
            "workflow",
            "family",
            "family-fake",
            "journal",
            "store",
            "engine",
            "proxy",
            "control",
        ],
        theirs: Theirs::Except(DATABASES),
    },
];

/// Crates of ours that tests of a room may use on top: a family to drive, servers to start.
/// Never a way for a room to reach what its own line forbids.
const TEST_ONLY: &[&str] = &["family-fake", "chaos"];

const ARCHITECTURE: &str = "ARCHITECTURE.md";

pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found: Vec<_> = tree.crates.iter().flat_map(|one| check_crate(tree, one)).collect();
    if let Some(file) = tree.file(ARCHITECTURE) {
        let rooms = rooms_in(&file.text);
        for one in tree.crates.iter().filter(|c| !rooms.contains(&c.name.as_str())) {
            let what = format!("`{}` is missing from the list of rooms", one.name);
            found.push(Violation::at(ARCHITECTURE, 0, what));
        }
        for room in rooms.iter().filter(|r| !tree.crates.iter().any(|c| c.name == **r)) {
            let what = format!("`{room}` is listed as a room and is no crate");
            found.push(Violation::at(ARCHITECTURE, 0, what));
        }
    }
    found
}

/// Names in the indented list under `## Rooms`: the first word, after the layer's number.
fn rooms_in(text: &str) -> Vec<&str> {
    let rooms = text.split("\n## ").find(|section| section.starts_with("Rooms"));
    let list = rooms.and_then(|section| section.split("```").nth(1)).unwrap_or_default();
    list.lines()
        .filter_map(|line| {
            line.trim_start_matches(|c: char| c.is_ascii_digit()).split_whitespace().next()
        })
        .collect()
}

fn check_crate(tree: &Tree, one: &Crate) -> Vec<Violation> {
    let path = format!("crates/{}/Cargo.toml", one.name);
    let Some(room) = ROOMS.iter().find(|r| r.name == one.name) else {
        let what = format!("`{}` has no line in the table of layers (xtask/tidy/layers)", one.name);
        return vec![Violation::at(&path, 0, what)];
    };
    let is_ours = |name: &str| {
        ROOMS.iter().any(|r| r.name == name) || tree.crates.iter().any(|c| c.name == name)
    };
    let mut found = Vec::new();
    for dep in &one.deps {
        let name = dep.name.as_str();
        let allowed = if is_ours(name) {
            room.ours.contains(&name) || (dep.dev && TEST_ONLY.contains(&name))
        } else {
            dep.dev
                || match room.theirs {
                    Theirs::Only(list) => list.contains(&name),
                    Theirs::Except(list) => !list.contains(&name),
                }
        };
        if !allowed {
            let what = format!("`{}` may not depend on `{name}`", one.name);
            found.push(Violation::at(&path, 0, what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, normal: &[&str], dev: &[&str]) -> usize {
        check(&Tree::of(&[]).with_crate(name, normal, dev)).len()
    }

    #[test]
    fn a_layer_is_not_skipped_upwards() {
        assert_eq!(refused("engine", &["family", "journal", "tokio"], &[]), 0);
        assert_eq!(refused("engine", &["control"], &[]), 1);
        assert_eq!(refused("engine", &["family-redis"], &[]), 1);
        assert_eq!(refused("family-redis", &["engine", "store"], &[]), 2);
    }

    #[test]
    fn pure_crates_have_no_runtime_even_for_formats() {
        assert_eq!(refused("wire-redis", &["bytes", "memchr"], &[]), 0);
        assert_eq!(refused("wire-redis", &["tokio"], &[]), 1);
        assert_eq!(refused("model", &["serde"], &[]), 1);
        assert_eq!(refused("workflow", &["tokio"], &[]), 1);
        assert_eq!(refused("routing", &["xxhash-rust"], &[]), 0);
    }

    #[test]
    fn what_judges_shares_no_code_with_the_product() {
        assert_eq!(refused("chaos", &["redis", "tokio"], &[]), 0);
        for name in ["family", "family-redis", "engine", "proxy", "wire-redis", "model"] {
            assert_eq!(refused("chaos", &[name], &[]), 1, "{name}");
        }
    }

    #[test]
    fn tests_may_drive_the_fake_and_start_servers_but_not_reach_around() {
        assert_eq!(refused("engine", &[], &["family-fake", "chaos", "serde"]), 0);
        assert_eq!(refused("engine", &["family-fake"], &[]), 1);
        assert_eq!(refused("engine", &[], &["family-redis"]), 1);
    }

    #[test]
    fn the_list_of_rooms_and_the_crates_agree() {
        let text = "# A\n\n## Rooms\n\n```\n0  model   nouns\n   chaos   servers\n```\n\n## B\n";
        let tree = Tree::of(&[(ARCHITECTURE, text)]).with_crate("model", &[], &[]);
        assert_eq!(check(&tree).len(), 1);
        assert_eq!(check(&tree.with_crate("chaos", &[], &[])).len(), 0);
    }

    #[test]
    fn an_unlisted_crate_is_refused_until_it_has_a_line() {
        assert_eq!(refused("helpers", &[], &[]), 1);
    }
}
