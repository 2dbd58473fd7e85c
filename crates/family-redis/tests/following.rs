//! A target kept equal to a source under load, by nothing but the family's ports: the feed names
//! keys, fenced reads and applies copy them, what moved is copied again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaos::conn::{Address, Conn};
use chaos::equality::Options;
use chaos::servers::{Flavor, ServerOptions};
use family::{Applied, Database, Doubt, FeedEvent, Moved, Reader, Writer};
use family_redis::RedisFamily;
use model::Key;
use redis::Cmd;
use support::*;

/// Few keys, so that most are hot.
const KEYS: u64 = 60;
const LOAD: Duration = Duration::from_secs(3);
const WRITERS: u64 = 3;

/// A small deterministic generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Writes of every kind, of which none is repeatable without harm.
fn writes(dice: &mut Dice) -> Vec<Cmd> {
    let n = dice.roll(KEYS);
    let key = |what: &str| format!("{what}:{n}");
    let one = |words: &[&str]| {
        let mut cmd = Cmd::new();
        for word in words {
            cmd.arg(word);
        }
        cmd
    };
    let value = dice.roll(1_000_000).to_string();
    match dice.roll(16) {
        0 => vec![one(&["SET", &key("s"), &value])],
        1 => vec![one(&["SET", &key("s"), &value, "PX", &(1 + dice.roll(800)).to_string()])],
        2 => vec![one(&["INCR", &key("counter")])],
        3 => vec![one(&["APPEND", &key("s"), &value])],
        4 => vec![one(&["RPUSH", &key("list"), &value])],
        5 => vec![one(&["LPOP", &key("list")])],
        6 => vec![one(&["SADD", &key("set"), &value, "a", "7"])],
        7 => vec![one(&["SPOP", &key("set")])],
        8 => vec![one(&["HINCRBYFLOAT", &key("hash"), "f", "0.1"])],
        9 => vec![one(&["ZINCRBY", &key("zset"), "1.5", &value])],
        10 => vec![one(&["XADD", &key("stream"), "MAXLEN", "20", "*", "f", &value])],
        11 => vec![one(&["DEL", &key("s"), &key("set")])],
        12 => vec![one(&["RENAME", &key("list"), &format!("list:{}", dice.roll(KEYS))])],
        13 => vec![one(&["PEXPIRE", &key("hash"), &(1 + dice.roll(500)).to_string()])],
        14 => vec![
            one(&["MULTI"]),
            one(&["INCR", &key("a")]),
            one(&["INCR", &key("b")]),
            one(&["EXEC"]),
        ],
        _ => vec![one(&["EVAL", "redis.call('INCR', 'undeclared:' .. ARGV[1])", "0", &value[..1]])],
    }
}

fn load(address: &Address, seed: u64, stop: &AtomicBool) {
    let db = i64::try_from(seed % 2).unwrap();
    let mut conn = Conn::open(address, db, LIMIT).unwrap();
    let mut dice = Dice(seed);
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Cmd> = (0..1 + dice.roll(8)).flat_map(|_| writes(&mut dice)).collect();
        conn.batch(&batch).unwrap();
        // Leaves the copier a share of the machine.
        std::thread::sleep(Duration::from_micros(dice.roll(3000)));
    }
}

/// Copies a batch; what moved is dirty again.
async fn copy_once(
    reader: &mut dyn Reader,
    writer: &mut dyn Writer,
    keys: Vec<Key>,
    dirty: &mut BTreeSet<Key>,
) {
    let records = reader.read(&keys).await.unwrap();
    for applied in writer.apply(&records).await.unwrap() {
        assert!(matches!(applied, Applied::Done), "{applied:?}");
    }
    match reader.confirm().await.unwrap() {
        Moved::None => {}
        Moved::Some => dirty.extend(keys),
        Moved::Keys(moved) => dirty.extend(moved),
    }
}

async fn follow(from: &Arc<dyn Database>, to: &Arc<dyn Database>, address: Address) {
    let mut feed = from.feed().await.unwrap();
    let (mut reader, mut writer) = (from.reader().await.unwrap(), to.writer().await.unwrap());
    let mut dirty: BTreeSet<Key> = keys(from).await.into_iter().collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=WRITERS)
        .map(|seed| {
            let (address, stop) = (address.clone(), stop.clone());
            tokio::task::spawn_blocking(move || load(&address, seed, &stop))
        })
        .collect();
    let mut timer = std::pin::pin!(tokio::time::sleep(LOAD));
    let (mut stopped, mut asked, mut fenced) = (false, false, false);
    let mut copied = 0;
    while !(fenced && dirty.is_empty()) {
        tokio::select! {
            biased;
            event = feed.next() => match event.unwrap() {
                FeedEvent::Stale(keys) => dirty.extend(keys.into_iter().map(|(key, _)| key)),
                FeedEvent::Fenced(1) => fenced = true,
                FeedEvent::Gap(Doubt::ConnectionOnly) => panic!("the feed fell behind"),
                other => panic!("{other:?}"),
            },
            () = &mut timer, if !stopped => {
                stopped = true;
                stop.store(true, Ordering::Relaxed);
            }
            // The writers end in their own time.
            () = tokio::time::sleep(Duration::from_millis(5)), if stopped && !asked && dirty.is_empty() => {}
            () = std::future::ready(()), if !dirty.is_empty() => {
                let batch: Vec<Key> = dirty.iter().take(32).cloned().collect();
                dirty.retain(|key| !batch.contains(key));
                copied += batch.len();
                copy_once(&mut *reader, &mut *writer, batch, &mut dirty).await;
            }
        }
        if stopped && !asked && writers.iter().all(tokio::task::JoinHandle::is_finished) {
            feed.request_fence(1).await.unwrap();
            asked = true;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(copied > 100, "{copied}");
}

async fn stays_equal(source: Flavor, target: Flavor) {
    let pair =
        pair_of(&ServerOptions::new(source), &ServerOptions::new(target), RedisFamily::new()).await;
    let app = as_application(&pair.source);
    run(&pair.source, &["SET", "there:before", "1"]);
    follow(&pair.old, &pair.new, app).await;
    let report = assert_equal(&pair.source, &pair.target, &Options::default());
    assert!(report.compared > 20, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_redis_to_valkey() {
    stays_equal(Flavor::Redis, Flavor::Valkey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_valkey_to_redis() {
    stays_equal(Flavor::Valkey, Flavor::Redis).await;
}
