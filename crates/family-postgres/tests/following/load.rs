//! What an application does to a database, at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::support::{Cluster, OWNER, PASSWORD};

/// Tables with everything that is hard to copy while it changes. On the target what is unique
/// besides the key comes later.
pub(crate) const TABLES: &str = "CREATE TABLE item (id bigint PRIMARY KEY, name text, big text, n int); \
    ALTER TABLE item ALTER big SET STORAGE EXTERNAL; \
    CREATE TABLE swap (id int PRIMARY KEY, u int); \
    CREATE TABLE word (w text COLLATE \"en-x-icu\" PRIMARY KEY, big text); \
    ALTER TABLE word ALTER big SET STORAGE EXTERNAL; \
    CREATE TYPE mood AS ENUM ('sad', 'so''so', 'happy'); \
    CREATE TABLE multi (a int, b text, m mood, tags text[], j jsonb, raw bytea, PRIMARY KEY (a, b)); \
    CREATE TABLE fresh (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED); \
    CREATE TABLE heap (a int, b text); \
    CREATE TABLE spread (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
    CREATE TABLE spread_low PARTITION OF spread FOR VALUES FROM (MINVALUE) TO (500); \
    CREATE TABLE spread_high PARTITION OF spread FOR VALUES FROM (500) TO (MAXVALUE)";
pub(crate) const UNIQUE: &str = "ALTER TABLE swap ADD UNIQUE (u) DEFERRABLE INITIALLY IMMEDIATE";
pub(crate) const ROWS: &str = "INSERT INTO item SELECT g * 10, 'n' || g, repeat('x', 2500 + g % 100), 0 FROM generate_series(1, 1500) g; \
    INSERT INTO swap SELECT g, g FROM generate_series(1, 600) g; \
    INSERT INTO word SELECT CASE g % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'é' END || md5(g::text), repeat('y', 2500) FROM generate_series(1, 600) g; \
    INSERT INTO multi SELECT g % 20, 'b' || g, 'sad', ARRAY['x', NULL, 'a\"b'], '{\"a\": [1, null]}', '\\x00ff' FROM generate_series(1, 600) g; \
    INSERT INTO fresh (v) SELECT g FROM generate_series(1, 600) g; \
    INSERT INTO heap SELECT g % 50, 'same' FROM generate_series(1, 200) g; \
    INSERT INTO spread SELECT g, 'v' FROM generate_series(1, 1000) g";
pub(crate) const DATASETS: [&str; 7] = [
    "public.item",
    "public.swap",
    "public.word",
    "public.multi",
    "public.fresh",
    "public.heap",
    "public.spread",
];

/// Clients that write until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    pub(crate) done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster, db: &str, clients: u64, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let clients = (0..clients)
            .map(|n| {
                let (stop, done, db) = (stop.clone(), done.clone(), db.to_owned());
                let port = cluster.port;
                tokio::spawn(async move {
                    let client = connect(port, &db).await;
                    let mut dice = Dice(seed * 1_000 + n + 1);
                    while !stop.load(Ordering::Relaxed) {
                        let sql = transaction(&mut dice);
                        // Deadlocks and violations are part of life: they are rolled back.
                        if client.batch_execute(&sql).await.is_ok() {
                            done.fetch_add(1, Ordering::Relaxed);
                        } else {
                            client.batch_execute("ROLLBACK").await.expect("a connection");
                        }
                    }
                })
            })
            .collect();
        Self { stop, done, clients }
    }

    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("a client");
        }
        self.done.load(Ordering::Relaxed)
    }
}

pub(crate) async fn connect(port: u16, db: &str) -> Client {
    let config = format!("host=127.0.0.1 port={port} user={OWNER} password={PASSWORD} dbname={db}");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("let in");
    tokio::spawn(connection);
    client
}

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn transaction(dice: &mut Dice) -> String {
    let mut sql = String::from("BEGIN; ");
    for _ in 0..=dice.below(4) {
        if dice.below(8) == 0 {
            sql += "SAVEPOINT s; ";
            sql += &statement(dice);
            sql += "; ROLLBACK TO s; ";
        }
        sql += &statement(dice);
        sql += "; ";
    }
    sql + if dice.below(10) == 0 { "ROLLBACK" } else { "COMMIT" }
}

fn statement(dice: &mut Dice) -> String {
    let mut d = |n| dice.below(n);
    let (id, other, v) = (d(1_600) * 10, d(16_000), d(1_000_000));
    match d(18) {
        0 => format!(
            "INSERT INTO item VALUES ({other}, 'new{v}', repeat('z', 2500), {v}) ON CONFLICT DO NOTHING"
        ),
        1 | 2 => format!("UPDATE item SET n = {v} WHERE id = {id}"),
        3 => format!("UPDATE item SET big = repeat('{}', 2600) WHERE id = {id}", v % 10),
        // A key moves to another chunk while its large value does not change.
        4 | 5 => format!(
            "UPDATE item SET id = {other} WHERE id = {id} AND NOT EXISTS (SELECT FROM item WHERE id = {other})"
        ),
        6 => format!("DELETE FROM item WHERE id = {id}"),
        7 => format!("UPDATE item SET n = n + 1 WHERE id BETWEEN {id} AND {id} + 300"),
        8 | 9 => {
            let (a, b) = (1 + d(600), 1 + d(600));
            format!(
                "UPDATE swap s SET u = o.u FROM swap o WHERE s.id IN ({a}, {b}) AND o.id IN ({a}, {b}) AND s.id <> o.id"
            )
        }
        10 => format!(
            "UPDATE word SET w = reverse(w) WHERE w = (SELECT w FROM word OFFSET {} LIMIT 1)",
            d(600)
        ),
        11 => format!("UPDATE word SET big = big || 'q' WHERE w LIKE 'B%{}'", v % 100),
        12 => {
            format!("INSERT INTO word VALUES ('é' || md5('{v}'), 'short') ON CONFLICT DO NOTHING")
        }
        13 => format!("UPDATE multi SET m = 'so''so', a = {} WHERE b = 'b{}'", d(20), d(600)),
        14 => format!("DELETE FROM multi WHERE a = {} AND b < 'b{}'", d(20), d(5)),
        15 => format!(
            "INSERT INTO fresh (v) VALUES ({v}); UPDATE fresh SET v = v + 1 WHERE id = {}; DELETE FROM fresh WHERE id = {}",
            d(700),
            d(700)
        ),
        16 => format!(
            "INSERT INTO heap VALUES ({}, 'same'); UPDATE heap SET b = 'u{v}' WHERE ctid = (SELECT ctid FROM heap WHERE a = {} LIMIT 1); \
            DELETE FROM heap WHERE ctid = (SELECT ctid FROM heap WHERE a = {} LIMIT 1)",
            d(50),
            d(50),
            d(50)
        ),
        _ => format!(
            "UPDATE spread SET id = {}, v = 'w{v}' WHERE id = {} AND NOT EXISTS (SELECT FROM spread WHERE id = {0})",
            d(1_000),
            d(1_000)
        ),
    }
}
