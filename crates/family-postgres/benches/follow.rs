//! How fast one cluster follows another, beside what a plain binary COPY pipe does between the
//! same two. Bounded: a million rows of about 120 bytes. `cargo bench -p family-postgres --bench
//! follow`; prints rows per second.

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests, which use more of it")]
mod support;

#[path = "../tests/following/mod.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod following;

use std::process::Stdio;
use std::time::Instant;

use following::{Pair, copy, drained, options, pump};

const ROWS: u32 = 1_000_000;
const SMALL: u32 = 20_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(Box::pin(measure()));
}

async fn measure() {
    let pair = Pair::start(
        "CREATE TABLE big (id bigint PRIMARY KEY, at timestamptz, n int, note text); \
         CREATE TABLE piped (LIKE big INCLUDING ALL); CREATE TABLE live (LIKE big INCLUDING ALL)",
    );
    let rows = |table: &str| {
        format!(
            "INSERT INTO {table} SELECT g, now(), g, repeat('x', 90) FROM generate_series(1, {ROWS}) g"
        )
    };
    pair.source.sql(&pair.db, &rows("big"));
    pair.source.sql(&pair.db, "VACUUM ANALYZE");

    let began = Instant::now();
    pipe(&pair);
    say("binary COPY pipe", ROWS, began);

    let follow = pair.forward("bench", options(&[]));
    follow.capture().await.expect("captured");
    follow.prepare().await.expect("prepared");
    let stream = pump(&follow);
    let began = Instant::now();
    copy(&follow, &["public.big"], 1).await;
    say("fill, one worker", ROWS, began);
    copy(&follow, &["public.piped", "public.live"], 1).await;
    drained(&follow, &stream).await;

    let began = Instant::now();
    pair.source.sql(&pair.db, &rows("live"));
    say("(the source's own INSERT)", ROWS, began);
    drained(&follow, &stream).await;
    say("followed: one INSERT of all, with the source's time", ROWS, began);

    let began = Instant::now();
    pair.source.sql(&pair.db, &format!("UPDATE live SET n = 0 WHERE id <= {}", ROWS / 5));
    drained(&follow, &stream).await;
    say("followed: one UPDATE of a fifth, with the source's time", ROWS / 5, began);
    drop(stream.stop().await);

    let singles = format!(
        "DO $$ BEGIN FOR i IN 1..{SMALL} LOOP UPDATE live SET n = i WHERE id = i * 7; COMMIT; END LOOP; END $$"
    );
    pair.source.sql(&pair.db, &singles);
    let stream = pump(&follow);
    let began = Instant::now();
    drained(&follow, &stream).await;
    say("followed: transactions of one row that wait in the slot", SMALL, began);
    let differ = pair.differences();
    assert!(differ.is_empty(), "{differ}");
    stream.stop().await;
}

/// What psql can do: COPY out of one into the other.
fn pipe(pair: &Pair) {
    let owner = support::OWNER;
    let mut out = pair.source.psql(owner, &pair.db);
    let mut out = out
        .args(["-c", "COPY big TO STDOUT (FORMAT binary)"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let rows = out.stdout.take().expect("its rows");
    let mut into = pair.target.psql(owner, &pair.db);
    let done = into
        .args(["-c", "COPY piped FROM STDIN (FORMAT binary)"])
        .stdin(rows)
        .status()
        .expect("psql runs");
    assert!(done.success() && out.wait().expect("psql ends").success());
    pair.target.sql(&pair.db, "TRUNCATE piped");
}

fn say(what: &str, rows: u32, began: Instant) {
    let took = began.elapsed();
    println!("{what}: {:.0} rows/s ({took:.2?})", f64::from(rows) / took.as_secs_f64());
}
