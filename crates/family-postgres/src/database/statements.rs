//! Questions about rows of a table, as SQL. Values travel as parameters: one `text[]` for each
//! column of the key.

use super::relation::{KeyColumn, Relation};
use crate::sql::ident;

/// The content of a row of `alias` as one text: columns in the order of their names.
fn content(relation: &Relation, alias: &str) -> String {
    let columns: Vec<String> =
        relation.columns.iter().map(|c| format!("{alias}.{}", c.quoted())).collect();
    format!("ROW({})::text", columns.join(", "))
}

/// Its hash; of its bytes in UTF-8, because databases may be encoded differently.
fn hash(relation: &Relation, alias: &str) -> String {
    format!("md5(convert_to({}, 'UTF8'))", content(relation, alias))
}

/// `FROM` what was asked for, `k(k1, …, n)`, joined with the rows found, `r`.
fn asked(relation: &Relation) -> String {
    let width = relation.key.len().max(1);
    let arrays: Vec<String> = (1..=width).map(|n| format!("${n}::text[]")).collect();
    let names: Vec<String> = (1..=width).map(|n| format!("k{n}")).collect();
    let keys =
        format!("FROM unnest({}) WITH ORDINALITY AS k({}, n)", arrays.join(", "), names.join(", "));
    let rows = format!("SELECT t.tableoid, t.ctid, t.xmin, t.* FROM {} t", relation.only());
    if relation.key.is_empty() {
        let hash = hash(relation, "u");
        return format!(
            "{keys} LEFT JOIN (SELECT {hash} AS \"exodus:hash\", u.* FROM ({rows}) u) r \
             ON r.\"exodus:hash\" = k.k1"
        );
    }
    format!("{keys} LEFT JOIN LATERAL ({rows} WHERE {}) r ON true", matches(relation, "t", "k.k"))
}

/// The condition that a row of `alias` has the key whose values are `prefix` and a number.
fn matches(relation: &Relation, alias: &str, prefix: &str) -> String {
    let one = |(n, column): (usize, &KeyColumn)| {
        let (name, equal) = (ident(&column.name), operator(column, "="));
        format!("{alias}.{name} {equal} {prefix}{n}::{}", column.type_name)
    };
    (1..).zip(&relation.key).map(one).collect::<Vec<_>>().join(" AND ")
}

fn operator(column: &KeyColumn, name: &str) -> String {
    format!("OPERATOR({}.{name})", column.operators)
}

/// Per key its number and digest: the row's hash, or how many equal rows there are.
pub(crate) fn digests(relation: &Relation) -> String {
    let from = asked(relation);
    if relation.key.is_empty() {
        return format!("SELECT k.n, nullif(count(r.ctid), 0) {from} GROUP BY k.n ORDER BY k.n");
    }
    let hash = hash(relation, "r");
    format!("SELECT k.n, CASE WHEN r.ctid IS NOT NULL THEN {hash} END {from} ORDER BY k.n")
}

/// Per key its number, how many bytes its row has, and the front of its hash.
pub(crate) fn descriptions(relation: &Relation) -> String {
    let (from, content, hash) = (asked(relation), content(relation, "r"), hash(relation, "r"));
    format!(
        "SELECT k.n, count(r.ctid), coalesce(max(octet_length({content})), 0), \
         left(max({hash}), 8) {from} GROUP BY k.n ORDER BY k.n"
    )
}

/// Per row found the number of its key, its version, and its values.
pub(crate) fn rows(relation: &Relation) -> String {
    let values: String = relation.stored().map(|c| format!(", r.{}", c.quoted())).collect();
    format!("SELECT k.n, {VERSION}{values} {} ORDER BY k.n", asked(relation))
}

/// Per key its number and the versions of its rows.
pub(crate) fn versions(relation: &Relation) -> String {
    format!(
        "SELECT k.n, string_agg({VERSION}, ' ' ORDER BY {VERSION}) {} GROUP BY k.n ORDER BY k.n",
        asked(relation)
    )
}

/// A tuple is the same one exactly when place and maker are the same.
const VERSION: &str = "r.tableoid::text || '/' || r.ctid::text || '/' || r.xmin::text";

/// The next keys, in their order; values of the last one are the parameters, if there was one.
pub(crate) fn keys_after(relation: &Relation, first: bool, limit: usize) -> String {
    let table = relation.only();
    if relation.key.is_empty() {
        let hash = hash(relation, "t");
        let after = if first { String::new() } else { format!(" WHERE {hash} > $1 COLLATE \"C\"") };
        return format!(
            "SELECT {hash} COLLATE \"C\" FROM {table} t{after} GROUP BY 1 ORDER BY 1 LIMIT {limit}"
        );
    }
    let names: Vec<String> = relation.key.iter().map(|c| format!("t.{}", ident(&c.name))).collect();
    let names = names.join(", ");
    let after = if first { String::new() } else { format!(" WHERE {}", after(relation, 1)) };
    format!("SELECT {names} FROM {table} t{after} ORDER BY {names} LIMIT {limit}")
}

/// The key of the row so many behind; parameters as of [`keys_after`].
pub(crate) fn key_number(relation: &Relation, first: bool, number: usize) -> String {
    format!("{} OFFSET {}", keys_after(relation, first, 1), number.saturating_sub(1))
}

/// How many rows lie behind a key and not behind another, and two sums over their hashes. The
/// keys are the parameters, as far as they are given.
pub(crate) fn sums(relation: &Relation, begins: bool, ends: bool) -> String {
    let mut bounds = Vec::new();
    let mut parameter = 1;
    if begins {
        bounds.push(format!("({})", after(relation, parameter)));
        parameter += relation.key.len();
    }
    if ends {
        bounds.push(format!("NOT ({})", after(relation, parameter)));
    }
    let bounds =
        if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
    let part = |at: usize| {
        format!("coalesce(sum(('x' || substr(s.h, {at}, 15))::bit(60)::bigint), 0)::text")
    };
    format!(
        "SELECT count(*), {}, {} FROM (SELECT {} AS h FROM {} t{bounds}) s",
        part(1),
        part(17),
        hash(relation, "t"),
        relation.only()
    )
}

/// The condition that a row of `t` lies behind the key in the parameters from `first` on.
fn after(relation: &Relation, first_parameter: usize) -> String {
    let left = |c: &KeyColumn| format!("t.{}", ident(&c.name));
    let right = |(n, c): (usize, &KeyColumn)| format!("${n}::{}", c.type_name);
    let first = &relation.key[0];
    if relation.key.iter().all(|c| c.operators == first.operators) {
        let (l, r): (Vec<_>, Vec<_>) =
            (first_parameter..).zip(&relation.key).map(|(n, c)| (left(c), right((n, c)))).unzip();
        let more = operator(first, ">");
        return format!("ROW({}) {more} ROW({})", l.join(", "), r.join(", "));
    }
    // A row comparison takes its operators from one schema only.
    let steps = (first_parameter..).zip(&relation.key).map(|(n, last)| {
        let mut all: Vec<String> = (first_parameter..n)
            .zip(&relation.key)
            .map(|(m, c)| format!("{} {} {}", left(c), operator(c, "="), right((m, c))))
            .collect();
        all.push(format!("{} {} {}", left(last), operator(last, ">"), right((n, last))));
        format!("({})", all.join(" AND "))
    });
    steps.collect::<Vec<_>>().join(" OR ")
}

/// Takes the row of a key away; its values are the parameters.
pub(crate) fn delete(relation: &Relation) -> String {
    format!("DELETE FROM {} t WHERE {}", relation.only(), matches(relation, "t", "$"))
}

/// Takes away as many rows of a content as the second parameter says; its hash is the first.
pub(crate) fn delete_equal(relation: &Relation) -> String {
    let (table, hash) = (relation.only(), hash(relation, "t"));
    format!(
        "DELETE FROM {table} d WHERE (d.tableoid, d.ctid) IN (SELECT t.tableoid, t.ctid \
         FROM {table} t WHERE {hash} = $1 LIMIT $2::bigint)"
    )
}

/// Adds a row with these columns; their values are the parameters.
pub(crate) fn insert(relation: &Relation, columns: &[&str]) -> String {
    let table = crate::sql::qualified(&relation.schema, &relation.name);
    if columns.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES");
    }
    let names: Vec<String> = columns.iter().map(|c| ident(c)).collect();
    let values: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    format!(
        "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

/// A `text[]` as a server reads it.
pub(crate) fn array<'v>(values: impl Iterator<Item = &'v [u8]>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for value in values {
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        for byte in value {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(key: &[(&str, &str)]) -> Relation {
        let column = |(name, schema): &(&str, &str)| KeyColumn {
            name: (*name).into(),
            type_name: "integer".into(),
            operators: (*schema).into(),
            collated: false,
        };
        Relation {
            schema: "s".into(),
            name: "t".into(),
            parted: false,
            columns: Vec::new(),
            key: key.iter().map(column).collect(),
        }
    }

    #[test]
    fn behind_a_key_is_one_comparison_where_it_can_be() {
        let one = after(&relation(&[("a", "pg_catalog"), ("b", "pg_catalog")]), 1);
        assert_eq!(
            one,
            "ROW(t.\"a\", t.\"b\") OPERATOR(pg_catalog.>) ROW($1::integer, $2::integer)"
        );
        let two = after(&relation(&[("a", "public"), ("b", "pg_catalog")]), 1);
        assert_eq!(
            two,
            "(t.\"a\" OPERATOR(public.>) $1::integer) OR (t.\"a\" OPERATOR(public.=) $1::integer \
             AND t.\"b\" OPERATOR(pg_catalog.>) $2::integer)"
        );
    }

    #[test]
    fn arrays_are_quoted() {
        let made = array([&b"a"[..], b"", b"b\"c\\d,{}"].into_iter());
        assert_eq!(made, br#"{"a","","b\"c\\d,{}"}"#);
        assert_eq!(array([].into_iter()), b"{}");
    }
}
