//! One direction between two real servers: copy beside load, kills, and the way back.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "shared by all tests of the crate, each of which uses a part")]
mod support;

#[path = "following/mod.rs"]
mod following;

use family::{FollowMode, StreamEvent};
use following::{Pair, copy, drained, options};

const SCHEMA: &str = "CREATE TABLE item (id bigint PRIMARY KEY, name text, big text, n numeric); \
    ALTER TABLE item ALTER big SET STORAGE EXTERNAL; \
    CREATE TABLE pairs (a int, b text, at timestamptz DEFAULT now(), PRIMARY KEY (a, b)); \
    CREATE TABLE empty (id uuid PRIMARY KEY)";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_and_what_comes_is_on_both_sides() {
    let pair = Pair::start(SCHEMA);
    pair.source.sql(
        &pair.db,
        "INSERT INTO item SELECT g, 'n' || g, repeat('x', g % 3000), g / 7.0 FROM generate_series(1, 5000) g; \
         INSERT INTO pairs SELECT g, 'b' || g FROM generate_series(1, 500) g",
    );
    let follow = pair.forward("plain", options(&[("chunk_rows", "700")]));
    follow.capture().await.unwrap();
    follow.capture().await.unwrap();
    follow.prepare().await.unwrap();
    let pump = following::pump(&follow);
    pair.source.sql(
        &pair.db,
        "UPDATE item SET name = 'early' WHERE id < 10; DELETE FROM item WHERE id = 11",
    );
    copy(&follow, &["public.item", "public.pairs", "public.empty"], 3).await;
    pair.source.sql(
        &pair.db,
        "UPDATE item SET name = 'later' WHERE id % 10 = 0; UPDATE item SET id = -id WHERE id = 77; \
         DELETE FROM pairs WHERE a > 400; INSERT INTO empty SELECT gen_random_uuid() FROM generate_series(1, 5)",
    );
    follow.complete().await.unwrap();
    drained(&follow, &pump).await;
    pair.equal();
    let events = pump.stop().await;
    assert!(events.iter().all(|e| matches!(e, StreamEvent::Applied { .. })), "{events:?}");
    follow.set_mode(FollowMode::Audit);
    follow.release().await.unwrap();
    let left = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'exodus%'";
    assert_eq!(pair.source.sql(&pair.db, left), "0");
}
