//! What a real server and another client say to each other, read by this crate: every byte in
//! random cuts, every message looked into, and compared with what the client saw.
//!
//! Needs PostgreSQL 15 (`scripts/setup`). `EXODUS_POSTGRES_BIN` names the programs of
//! another: sessions from 12 on, replication from 15 on, where 16 and later speak version 4.

mod cluster;
#[path = "../look/content.rs"]
mod content;
mod doors;
mod replication;
mod sessions;
mod tap;
#[path = "../look/walk.rs"]
mod walk;

use cluster::{Cluster, OWNER, PASSWORD};
use tap::Tap;

/// A connection of the other client through a tap.
fn config(tap: &Tap) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(tap.port).dbname("postgres").user(OWNER).password(PASSWORD);
    config
}

/// Plays a client on a small runtime.
fn play<T>(client: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime").block_on(client)
}

#[test]
fn sessions_are_read_as_the_client_saw_them() {
    let cluster = Cluster::start();
    sessions::check(&cluster);
    doors::check(&cluster);
}

#[test]
fn a_replication_stream_is_read_as_the_server_decodes_it() {
    replication::check(&Cluster::start());
}
