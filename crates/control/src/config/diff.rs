//! What a new document would change, and when each change takes effect.

use std::collections::BTreeMap;

use api::{ChangeKind, ConfigChange, ConfigPlan};
use serde_json::Value;

use crate::config::document::Document;

/// Compares two documents of one migration.
#[must_use]
pub fn diff(now: &Document, then: &Document) -> ConfigPlan {
    let (old, new) = (flat(now), flat(then));
    let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let changes =
        paths.into_iter().filter(|p| old.get(*p) != new.get(*p)).map(|path| ConfigChange {
            path: path.clone(),
            from: old.get(path).cloned(),
            to: new.get(path).cloned(),
            kind: kind(path),
        });
    ConfigPlan { digest: then.digest(), changes: changes.collect() }
}

/// The first rule that fits decides.
const RULES: &[(&str, ChangeKind)] = &[
    ("migration", ChangeKind::Refused),
    ("family", ChangeKind::Refused),
    ("source.address", ChangeKind::Refused),
    ("target.address", ChangeKind::NeedsDrain),
    ("source", ChangeKind::NeedsDrain),
    ("target", ChangeKind::NeedsDrain),
    ("interlay", ChangeKind::NeedsDrain),
    ("options", ChangeKind::NeedsDrain),
    ("replay", ChangeKind::NeedsDrain),
    ("backfill", ChangeKind::NeedsDrain),
    ("strategy.kind", ChangeKind::NextStep),
    ("strategy.tenants", ChangeKind::NextStep),
    ("strategy.steps", ChangeKind::NextStep),
    ("phases", ChangeKind::NextStep),
    ("rollback", ChangeKind::NextStep),
];

fn kind(path: &str) -> ChangeKind {
    let under = |rule: &str| {
        path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    RULES.iter().find(|(rule, _)| under(rule)).map_or(ChangeKind::Hot, |(_, kind)| *kind)
}

fn flat(document: &Document) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    walk("", &serde_json::to_value(document).unwrap_or_default(), &mut out);
    out
}

fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, value, out);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (index, value) in list.iter().enumerate() {
                walk(&format!("{path}[{index}]"), value, out);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            out.insert(path.to_owned(), text.clone());
        }
        other => {
            out.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn changes_say_when_they_take_effect() {
        let text = "migration: m\nfamily: fake\nsource: {address: 'a:1'}\n\
                    interlay: [{listen: '127.0.0.1:7000'}]\n";
        let now = parse(text).unwrap();
        let check = |more: &str, path: &str, kind: ChangeKind| {
            let then = parse(&format!("{text}{more}")).unwrap();
            let plan = diff(&now, &then);
            let found: Vec<_> = plan.changes.iter().map(|c| (c.path.as_str(), c.kind)).collect();
            assert!(found.contains(&(path, kind)), "{more}: {found:?}");
        };
        check("throttle: {records_per_s: 100}\n", "throttle.records_per_s", ChangeKind::Hot);
        check("target: {address: 'b:1'}\n", "target.address", ChangeKind::NeedsDrain);
        check("strategy: {kind: big_bang}\n", "strategy.kind", ChangeKind::NextStep);
        assert!(diff(&now, &now).changes.is_empty());
    }
}
