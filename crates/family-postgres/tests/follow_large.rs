//! A transaction larger than what may be kept in memory.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "shared by all tests of the crate, each of which uses a part")]
mod support;

#[path = "following/mod.rs"]
#[allow(dead_code, reason = "shared by the tests of following, each of which uses a part")]
mod following;

use following::{Pair, copy, drained, options, pump};

/// What the program may need more for a transaction of any size, in kilobytes.
const MEMORY_MAX_KB: u64 = 64 * 1024;

/// The most memory this program ever had, in kilobytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_in_one_transaction_pass_in_bounded_memory() {
    let pair = Pair::start("CREATE TABLE many (id bigint PRIMARY KEY, v int, note text)");
    let follow = pair.forward("many", options(&[]));
    follow.capture().await.expect("captured");
    follow.prepare().await.expect("prepared");
    let pump = pump(&follow);
    copy(&follow, &["public.many"], 1).await;
    follow.complete().await.expect("complete");
    let before = peak();
    pair.source.sql(
        &pair.db,
        "INSERT INTO many SELECT g, 0, repeat('x', 100) FROM generate_series(1, 1000000) g",
    );
    drained(&follow, &pump).await;
    pair.source.sql(&pair.db, "UPDATE many SET v = 1 WHERE id % 8 = 0");
    drained(&follow, &pump).await;
    // A row that is missing there makes the whole be read again, one change at a time.
    pair.target.sql(&pair.db, "DELETE FROM many WHERE id = 77777");
    pair.source.sql(&pair.db, "UPDATE many SET v = 2 WHERE id BETWEEN 70000 AND 110000");
    drained(&follow, &pump).await;
    let grown = peak() - before;
    let sums = "SELECT count(*), sum(v), sum(hashtext(t::text)::bigint) FROM many t";
    assert_eq!(pair.source.sql(&pair.db, sums), pair.target.sql(&pair.db, sums));
    let events = pump.stop().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(grown < MEMORY_MAX_KB, "{grown} kB more");
    eprintln!("{grown} kB more");
}
