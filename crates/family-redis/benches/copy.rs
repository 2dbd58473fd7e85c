//! How fast small records are copied: scan, fenced read, apply, confirm, between two real servers.
//!
//! `cargo bench -p family-redis --bench copy -- [keys] [copiers] [batch]`. Also printed: what the
//! parts reach alone, and the ceiling of bare pipelined `RESTORE`s in the same run.

#![allow(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use chaos::conn::Conn;
use family::{Database, Moved};
use model::{Dataset, Key, Record};
use redis::cmd;
use support::*;
use tokio::sync::{Mutex, mpsc};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let keys = args.next().unwrap_or(300_000);
    let copiers = args.next().unwrap_or(2);
    let batch = args.next().unwrap_or(200);
    let pair = pair().await;
    seed(&pair, keys);
    println!("{keys} keys of 64 bytes, {copiers} copiers, batches of {batch}");

    let meter = Meter::start(&pair);
    // In the order in which a scan finds them, which is random to the server's memory.
    let names = scanned(&pair.old, batch).await;
    meter.stop("scan", names.len());

    let mut reader = pair.old.reader().await.unwrap();
    let meter = Meter::start(&pair);
    let mut records: Vec<Vec<Record>> = Vec::new();
    for some in names.chunks(batch) {
        records.push(reader.read(some).await.unwrap());
        assert_eq!(reader.confirm().await.unwrap(), Moved::None);
    }
    meter.stop("fenced read, one connection", names.len());

    let meter = Meter::start(&pair);
    let mut digests = 0;
    for some in names.chunks(batch) {
        digests += reader.digest(some).await.unwrap().len();
    }
    meter.stop("digest, one connection", digests);

    let mut writer = pair.new.writer().await.unwrap();
    let meter = Meter::start(&pair);
    for some in &records {
        writer.apply(some).await.unwrap();
    }
    meter.stop("apply, one connection", names.len());
    ceiling(&pair, names.len());

    for _ in 0..3 {
        run(&pair.target, &["FLUSHALL"]);
        let meter = Meter::start(&pair);
        copy_all(&pair.old, &pair.new, copiers, batch).await;
        meter.stop("whole copy", names.len());
        assert_eq!(number(run(&pair.target, &["DBSIZE"])), i64::try_from(keys).unwrap());
    }
}

/// Wall time, and CPU time of the three processes, which does not depend on what else runs here.
struct Meter {
    pids: [Option<u32>; 3],
    ticks: [u64; 3],
    begun: Instant,
}

impl Meter {
    fn start(pair: &Pair) -> Self {
        let pids = [None, pair.source.pid(), pair.target.pid()];
        Self { pids, ticks: pids.map(cpu_ticks), begun: Instant::now() }
    }

    fn stop(self, what: &str, records: usize) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let after = self.pids.map(cpu_ticks);
        let micros = |i: usize| (after[i] - self.ticks[i]) as f64 * 10_000.0 / records as f64;
        println!(
            "{what:<32} {:>9.0} records/s; CPU us each: ours {:.1}, source {:.1}, target {:.1}",
            records as f64 / seconds,
            micros(0),
            micros(1),
            micros(2)
        );
    }
}

/// User and system time of a process (`None`: this one) in clock ticks of 10 ms.
fn cpu_ticks(pid: Option<u32>) -> u64 {
    let who = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let stat = std::fs::read_to_string(format!("/proc/{who}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn seed(pair: &Pair, keys: usize) {
    let mut conn = as_worker(&pair.source, 0);
    for first in (0..keys).step_by(1000) {
        let batch: Vec<_> = (first..(first + 1000).min(keys))
            .map(|i| cmd("SET").arg(format!("key:{i:010}")).arg(format!("{i:064x}")).clone())
            .collect();
        conn.batch_ok(&batch).unwrap();
    }
}

/// Bare pipelined RESTOREs of one payload, by a foreign client.
fn ceiling(pair: &Pair, keys: usize) {
    let payload: Vec<u8> =
        redis::from_redis_value(run(&pair.source, &["DUMP", "key:0000000000"])).unwrap();
    let mut conn: Conn = as_worker(&pair.target, 1);
    let batches: Vec<Vec<u8>> = (0..keys)
        .step_by(1000)
        .map(|first| {
            let mut bytes = Vec::new();
            for i in first..first + 1000 {
                let mut restore = cmd("RESTORE");
                restore.arg(format!("key:{i:010}")).arg(0).arg(&payload);
                bytes.extend(restore.arg("REPLACE").get_packed_command());
            }
            bytes
        })
        .collect();
    let meter = Meter::start(pair);
    for bytes in &batches {
        conn.send(bytes).unwrap();
        conn.receive_many(1000).unwrap();
    }
    meter.stop("bare RESTORE, one connection", batches.len() * 1000);
}

async fn scanned(database: &Arc<dyn Database>, limit: usize) -> Vec<Key> {
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let chunk = database.scan(&Dataset::new("db0"), next.as_ref(), limit).await.unwrap();
        names.extend(chunk.keys);
        next = chunk.next;
        if next.is_none() {
            return names;
        }
    }
}

async fn copy_all(from: &Arc<dyn Database>, to: &Arc<dyn Database>, copiers: usize, batch: usize) {
    let (send, receive) = mpsc::channel::<Vec<Key>>(copiers * 4);
    let receive = Arc::new(Mutex::new(receive));
    let mut tasks = Vec::new();
    for _ in 0..copiers {
        let (mut reader, mut writer) = (from.reader().await.unwrap(), to.writer().await.unwrap());
        let receive = receive.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let Some(keys) = receive.lock().await.recv().await else { return };
                copy_batch(&mut *reader, &mut *writer, &keys).await;
            }
        }));
    }
    for inventory in from.inventory().await.unwrap() {
        let mut next = None;
        loop {
            let chunk = from.scan(&inventory.dataset, next.as_ref(), batch).await.unwrap();
            send.send(chunk.keys).await.unwrap();
            next = chunk.next;
            if next.is_none() {
                break;
            }
        }
    }
    drop(send);
    for task in tasks {
        task.await.unwrap();
    }
}
