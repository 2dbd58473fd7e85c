//! INCR, HINCRBY, INCRBYFLOAT, and a script that counts and appends in one step.
//!
//! Each client remembers the highest reply per counter: all increments are positive, so a reply
//! that is not higher shows an effect that was lost.

use std::collections::HashMap;

use redis::{Cmd, Value, cmd};

use crate::load::client::{Client, Reply};
use crate::load::ledger::{Kind, Outcome, Token};
use crate::load::names::Names;
use crate::load::stats::Class;
use crate::value;

const COUNTERS: u64 = 48;
const FLOATS: u64 = 16;
const SCRIPTS: u64 = 16;
const SCRIPT_PAGE: u64 = 4_000;
const SCRIPT: &str = "local sum = redis.call('INCRBY', KEYS[1], ARGV[1]) \
     redis.call('RPUSH', KEYS[2], ARGV[2]) return sum";

/// What a client has seen of each counter.
#[derive(Default)]
pub(in crate::load) struct Counters {
    highest: HashMap<(Kind, u32), i64>,
    script_sha: Option<String>,
}

impl Counters {
    /// Counts something up.
    pub(in crate::load) fn run(&mut self, client: &mut Client) {
        match client.rng.below(10) {
            0..5 => self.incr(client),
            5..7 => self.hash(client),
            7 => self.float(client),
            _ => self.script(client),
        }
    }

    fn incr(&mut self, client: &mut Client) {
        let key = client.rng.below(COUNTERS) as u32;
        let token = client.token();
        let mut c = cmd("INCR");
        c.arg(client.names.key(Kind::Incr, key));
        let reply = client.call(Class::Write, &c);
        client.record(Kind::Incr, key, token, 1, &reply);
        self.must_grow(client, Kind::Incr, key, reply.int(), reply.outcome());
    }

    fn hash(&mut self, client: &mut Client) {
        let key = client.rng.below(COUNTERS) as u32;
        let token = client.token();
        let by = client.rng.range(1, 10) as i64;
        let mut c = cmd("HINCRBY");
        c.arg(client.names.key(Kind::HashIncr, key)).arg(Names::hash_field(key)).arg(by);
        let reply = client.call(Class::Write, &c);
        client.record(Kind::HashIncr, key, token, by, &reply);
        self.must_grow(client, Kind::HashIncr, key, reply.int(), reply.outcome());
    }

    fn float(&mut self, client: &mut Client) {
        let key = client.rng.below(FLOATS) as u32;
        let token = client.token();
        let mut c = cmd("INCRBYFLOAT");
        c.arg(client.names.key(Kind::FloatIncr, key)).arg("0.25");
        let reply = client.call(Class::Write, &c);
        let quarters = match &reply {
            Reply::Ok(v) => value::float(v).map_or(0, |f| (f * 4.0) as i64),
            _ => 0,
        };
        let outcome = reply.outcome();
        client.record_full(Kind::FloatIncr, (key, 0), token, 1, (quarters, outcome));
        self.must_grow(client, Kind::FloatIncr, key, quarters, outcome);
    }

    fn script(&mut self, client: &mut Client) {
        let page = client.sequence() / SCRIPT_PAGE * SCRIPTS;
        let key = (page + client.rng.below(SCRIPTS)) as u32;
        let token = client.token();
        let by = client.rng.range(1, 10) as i64;
        let mut reply = client.call(Class::Write, &self.eval(client, key, token, by));
        if matches!(&reply, Reply::No(text) if text.contains("NOSCRIPT")) {
            self.script_sha = None;
            reply = client.call(Class::Write, &self.eval(client, key, token, by));
        }
        client.record(Kind::Script, key, token, by, &reply);
        self.must_grow(client, Kind::Script, key, reply.int(), reply.outcome());
        if self.script_sha.is_none() && client.rng.percent(50) {
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(SCRIPT);
            if let Reply::Ok(Value::BulkString(sha)) = client.call(Class::Read, &load) {
                self.script_sha = String::from_utf8(sha).ok();
            }
        }
    }

    fn eval(&self, client: &Client, key: u32, token: Token, by: i64) -> Cmd {
        let mut c = match &self.script_sha {
            Some(sha) => {
                let mut c = cmd("EVALSHA");
                c.arg(sha);
                c
            }
            None => {
                let mut c = cmd("EVAL");
                c.arg(SCRIPT);
                c
            }
        };
        c.arg(2)
            .arg(client.names.key(Kind::Script, key))
            .arg(client.names.script_list(key))
            .arg(by)
            .arg(format!("{token}:{by}"));
        c
    }

    fn must_grow(&mut self, client: &mut Client, kind: Kind, key: u32, seen: i64, was: Outcome) {
        if was != Outcome::Ok {
            return;
        }
        let highest = self.highest.entry((kind, key)).or_insert(0);
        if seen <= *highest {
            let name = client.names.key(kind, key);
            client.violation(format!("{name} answered {seen} after {highest}"));
        }
        *highest = seen.max(*highest);
    }
}
