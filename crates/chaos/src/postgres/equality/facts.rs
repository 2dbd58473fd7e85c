//! What a schema says about itself, as pairs of a name and a fact, compared as sets.
//!
//! How servers print definitions is the same over the versions at hand, except for views, which
//! are compared by what they show instead.

use std::collections::BTreeMap;

use super::Options;
use super::pair::Pair;
use super::report::{Class, Report, apart};
use crate::postgres::conn::{Conn, Fault};

const VIEWS: &str = "view of the same version";
const ROLES: &str = "role";

/// Kinds with their statements.
fn statements(theirs: &str) -> Vec<(&'static str, String)> {
    include_str!("facts.sql")
        .split("-- kind: ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .map(|(kind, sql)| (kind.trim(), sql.replace("{theirs}", theirs)))
        .collect()
}

/// Compares every kind.
pub(super) fn compare(
    pair: &mut Pair,
    options: &Options,
    report: &mut Report,
) -> Result<(), Fault> {
    for (kind, sql) in statements(&options.theirs()) {
        if (kind == VIEWS && !pair.same_major) || (kind == ROLES && !options.roles) {
            continue;
        }
        let (left, right) = pair.both(|conn| facts(conn, &sql))?;
        report.objects += left.len() as u64;
        for (name, fact) in &left {
            match right.get(name) {
                None => report.add(Class::Schema, kind, name, "only on the left".to_owned()),
                Some(other) if other != fact => {
                    report.add(Class::Schema, kind, name, apart(fact, other));
                }
                Some(_) => {}
            }
        }
        for name in right.keys().filter(|name| !left.contains_key(*name)) {
            report.add(Class::Schema, kind, name, "only on the right".to_owned());
        }
    }
    Ok(())
}

fn facts(conn: &mut Conn, sql: &str) -> Result<BTreeMap<String, String>, Fault> {
    let rows = conn.simple(sql)?;
    let text = |field: Option<Option<String>>| field.flatten().unwrap_or_default();
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut fields = row.into_iter();
            (text(fields.next()), text(fields.next()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_statement() {
        let all = statements("true");
        assert!(all.len() > 15, "{}", all.len());
        assert!(all.iter().all(|(_, sql)| sql.contains("SELECT") && !sql.contains("{theirs}")));
        assert!(all.iter().any(|(kind, _)| *kind == VIEWS));
        assert!(all.iter().any(|(kind, _)| *kind == ROLES));
    }
}
