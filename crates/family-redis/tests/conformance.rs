//! The suite every family passes, from Redis to Valkey and from Valkey to Redis.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chaos::conn::{Address, Conn};
use chaos::servers::{Flavor, Server, ServerOptions};
use family::conformance::{self, Puppet, Stage};
use family::{Database, EndpointSpec, Family};
use family_redis::RedisFamily;
use model::{Key, Side};
use redis::{Cmd, Value, cmd};
use support::*;

/// A foreign client under the application's account.
struct Client(Address);

impl Client {
    fn call(&self, command: &Cmd) -> Result<Value, String> {
        let mut conn = Conn::open(&self.0, 0, LIMIT).map_err(|e| e.to_string())?;
        conn.call(command).map_err(|e| e.to_string())
    }
}

#[async_trait]
impl Puppet for Client {
    fn key(&self, name: &str) -> Key {
        key(name)
    }

    async fn write(&self, name: &str, value: &str) -> Result<(), String> {
        self.call(cmd("SET").arg(name).arg(value)).map(|_| ())
    }

    async fn delete(&self, name: &str) -> Result<(), String> {
        self.call(cmd("DEL").arg(name)).map(|_| ())
    }

    async fn expire(&self, name: &str, after: Duration) -> bool {
        let millis = u64::try_from(after.as_millis()).unwrap();
        number(self.call(cmd("PEXPIRE").arg(name).arg(millis)).unwrap()) == 1
    }

    async fn rename(&self, from: &str, to: &str) -> bool {
        self.call(cmd("RENAME").arg(from).arg(to)).is_ok()
    }

    async fn flush(&self) -> bool {
        self.call(&cmd("FLUSHALL")).is_ok()
    }

    async fn read(&self, name: &str) -> Option<String> {
        redis::from_redis_value(self.call(cmd("GET").arg(name)).unwrap()).unwrap()
    }
}

async fn stage(servers: &[Server; 2]) -> Stage {
    for server in servers {
        run(server, &["FLUSHALL"]);
    }
    let family = Arc::new(RedisFamily::new());
    let open = async |side: Side, boot: &str| -> Arc<dyn Database> {
        let spec = EndpointSpec {
            session_tag: format!("exodus:conformance:{boot}"),
            ..spec(&servers[side.index()], side)
        };
        family.open(spec).await.unwrap()
    };
    let older = [open(Side::Source, "0").await, open(Side::Target, "0").await];
    let sides = [open(Side::Source, "1").await, open(Side::Target, "1").await];
    let puppet = |i: usize| -> Arc<dyn Puppet> { Arc::new(Client(as_application(&servers[i]))) };
    Stage { family, sides, older, puppets: [puppet(0), puppet(1)] }
}

async fn conforms(source: Flavor, target: Flavor) {
    let servers =
        [source, target].map(|flavor| Server::start(&ServerOptions::new(flavor)).unwrap());
    conformance::run(|| stage(&servers)).await;
}

#[tokio::test]
async fn from_redis_to_valkey() {
    conforms(Flavor::Redis, Flavor::Valkey).await;
}

#[tokio::test]
async fn from_valkey_to_redis() {
    conforms(Flavor::Valkey, Flavor::Redis).await;
}
