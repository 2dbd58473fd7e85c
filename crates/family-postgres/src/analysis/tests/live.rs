//! What the verdicts say against what a server does.

use super::*;
use crate::analysis::{Backslash, analyze};

/// Every statement of the files, one to a line.
fn statements() -> impl Iterator<Item = &'static str> {
    let files = [
        include_str!("corpus.sql"),
        include_str!("plain.sql"),
        include_str!("shop.sql"),
        include_str!("commands.txt"),
    ];
    let lines = files.into_iter().flat_map(str::lines);
    let examples = lines.map(|line| line.split_once(" | ").map_or(line, |(_, sql)| sql));
    examples.filter(|sql| !sql.starts_with("--") && !sql.is_empty())
}

/// What a server did with a statement.
#[derive(Debug, PartialEq)]
struct Effect {
    /// A read-only transaction refused it.
    refused: bool,
    /// It got a transaction id, which only changes get.
    wrote: bool,
}

/// Runs a statement in a read-only transaction, and in another one that is rolled back.
async fn run(conn: &mut Conn, sql: &str) -> Effect {
    conn.execute("BEGIN READ ONLY").await.expect("begins");
    let refused = conn.ask(sql).await.err().is_some_and(|error| error.is("25006"));
    conn.execute("ROLLBACK").await.expect("ends");
    conn.execute("BEGIN").await.expect("begins");
    let done = conn.ask(sql).await.is_ok();
    let asked = "SELECT pg_current_xact_id_if_assigned()";
    let wrote = done && conn.query_one(asked).await.expect("a row").opt(0).expect("text").is_some();
    conn.execute("ROLLBACK").await.expect("ends");
    Effect { refused, wrote }
}

#[tokio::test]
async fn what_is_called_a_read_changes_nothing() {
    let shop = Shop::open();
    let catalog = shop.catalog().await;
    let mut conn = shop.connect().await;
    let (mut reads, mut writes) = (0, 0);
    for sql in statements() {
        for catalog in [None, Some(&catalog)] {
            let whole = analyze(sql.as_bytes(), catalog, Backslash::Literal).whole;
            // What ends the transaction or takes over the connection cannot be tried like this.
            let alone = matches!(whole.access, Access::Transaction(_) | Access::Copy(_));
            if alone || sql.starts_with("COPY") || sql.contains("COMMIT") || sql.contains('$') {
                continue;
            }
            let effect = run(&mut conn, sql).await;
            let changes = effect.refused || effect.wrote;
            let says = matches!(whole.access, Access::Write | Access::Ddl | Access::Refused);
            // A temporary table gets an id, and stays in its session.
            let session = matches!(whole.access, Access::Session | Access::Utility);
            assert!(!changes || says || session, "{sql}: {effect:?} {}", line(&whole));
            assert!(!changes || whole.follower.is_err(), "{sql}: {effect:?} {}", line(&whole));
            reads += usize::from(whole.follower.is_ok() && whole.access == Access::Read);
            writes += usize::from(changes);
        }
    }
    // The test would say little if the server had refused everything, or nothing.
    assert!(reads > 100 && writes > 60, "{reads} reads, {writes} writes");
}

#[tokio::test]
async fn what_applications_read_may_be_read_on_the_other_side() {
    let shop = Shop::open();
    let catalog = shop.catalog().await;
    let mut conn = shop.connect().await;
    for sql in include_str!("corpus.sql").lines().filter(|sql| !sql.starts_with("--")) {
        let whole = analyze(sql.as_bytes(), Some(&catalog), Backslash::Literal).whole;
        assert_eq!((&whole.access, whole.follower), (&Access::Read, Ok(())), "{sql}");
        conn.ask(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Values to call functions with, by type.
const VALUES: &[(&str, &str)] = &[
    ("bool", "true"),
    ("bytea", "'\\x6162'"),
    ("char", "'a'"),
    ("name", "'plain'"),
    ("int8", "2"),
    ("int2", "2"),
    ("int4", "2"),
    ("text", "'a'"),
    ("json", "'{\"a\": 1}'"),
    ("jsonb", "'{\"a\": 1}'"),
    ("jsonpath", "'$.a'"),
    ("xml", "'<a/>'"),
    ("point", "'(1,2)'"),
    ("box", "'(1,2),(3,4)'"),
    ("circle", "'<(1,2),3>'"),
    ("float4", "1.5"),
    ("float8", "1.5"),
    ("money", "1.5"),
    ("inet", "'10.0.0.1'"),
    ("cidr", "'10.0.0.0/8'"),
    ("macaddr", "'08:00:2b:01:02:03'"),
    ("bpchar", "'a'"),
    ("varchar", "'a'"),
    ("date", "'2024-01-01'"),
    ("time", "'10:00'"),
    ("timestamp", "'2024-01-01'"),
    ("timestamptz", "'2024-01-01'"),
    ("interval", "'1 day'"),
    ("timetz", "'10:00+00'"),
    ("bit", "B'1'"),
    ("varbit", "B'1'"),
    ("numeric", "1.5"),
    ("uuid", "'00000000-0000-0000-0000-000000000001'"),
    ("tsvector", "'a b'"),
    ("tsquery", "'a & b'"),
    ("regconfig", "'english'"),
    ("regclass", "'shop.plain'"),
    ("regtype", "'text'"),
    ("oid", "1259"),
    ("int4range", "'[1,5)'"),
    ("daterange", "'[2024-01-01,2024-02-01)'"),
    ("int4multirange", "'{[1,5)}'"),
    ("_int4", "'{1,2}'"),
    ("_text", "'{a,b}'"),
    ("anyarray", "ARRAY[1, 2]"),
    ("anyelement", "1"),
    ("anynonarray", "1"),
    ("any", "1"),
    ("record", "ROW(1, 2)"),
    ("pg_lsn", "'0/1'"),
];

#[tokio::test]
async fn functions_that_are_believed_keep_their_word() {
    let shop = Shop::open();
    let mut conn = shop.connect().await;
    let rows = conn
        .query(
            "SELECT p.proname, array_to_string(ARRAY(SELECT t.typname FROM \
             unnest(p.proargtypes) WITH ORDINALITY AS a(oid, n) JOIN pg_type t USING (oid) \
             ORDER BY n), ' ') FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace \
             AND p.prokind = 'f' ORDER BY 1, 2",
        )
        .await
        .expect("functions");
    let value = |name: &str| {
        let value = VALUES.iter().find(|(of, _)| *of == name).map(|(_, value)| *value)?;
        let plain = name.starts_with("any") || name == "record";
        Some(if plain { value.to_owned() } else { format!("{value}::\"{name}\"") })
    };
    let mut called = 0;
    for row in &rows {
        let (name, types) = (row.text(0).expect("a name"), row.text(1).expect("types"));
        let Some(values) = types.split_whitespace().map(value).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let sql = format!("SELECT pg_catalog.\"{name}\"({})", values.join(", "));
        // Without a catalog: what is believed is what we brought.
        let whole = analyze(sql.as_bytes(), None, Backslash::Literal).whole;
        // Those that sleep would sleep for what the value says.
        if whole.access == Access::Read && !name.starts_with("pg_sleep") {
            let effect = run(&mut conn, &sql).await;
            assert_eq!(effect, Effect { refused: false, wrote: false }, "{sql}");
            called += 1;
        }
    }
    assert!(called > 1000, "only {called} functions were called");
}

#[test]
fn the_list_of_functions_is_the_servers() {
    let cluster = Cluster::shared();
    if cluster.major != 15 {
        return;
    }
    let mut made = Vec::new();
    // Each statement of the file on its own: psql prints the answers of all of them.
    for sql in include_str!("../builtin/generate.sql").split(';') {
        let words = cluster.sql("postgres", sql);
        made.extend(words.split_whitespace().map(str::to_owned));
    }
    let ours: Vec<_> = include_str!("../builtin/names.txt").split_whitespace().collect();
    assert_eq!(made, ours);
}
