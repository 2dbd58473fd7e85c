//! Jobs: producers push unique ids, consumers block on queues and take each one once.
//!
//! Two queues are popped, one has its jobs moved to a list of finished ones, one stream is read
//! by a consumer group with acknowledgement. Life cycle: producers end at stop, consumers go on
//! until the queues are empty or two blocking calls came back without a job.

use redis::{Value, cmd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::{Client, Reply, Shared};
use super::ledger::{Kind, Ledger, Outcome, Token};
use super::names::{GROUP, POPPED_QUEUES};
use super::stats::Class;
use crate::value;

/// What a consumer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    BlPop,
    BrPop,
    Mover,
    GroupReader,
}

pub(super) const ROLES: [Role; 6] =
    [Role::Producer, Role::BlPop, Role::BrPop, Role::BlPop, Role::Mover, Role::GroupReader];

/// Seconds a blocking call waits, well below the client's own timeout.
const BLOCK_SECONDS: u32 = 1;

/// Makes the group that reads the stream of jobs, once.
pub(super) fn open_group(client: &mut Client) -> bool {
    let mut c = cmd("XGROUP");
    c.arg("CREATE").arg(client.names.key(Kind::GroupRead, 0)).arg(GROUP).arg("0").arg("MKSTREAM");
    match client.call(Class::Write, &c) {
        Reply::Ok(_) => true,
        Reply::No(text) => text.contains("BUSYGROUP"),
        Reply::Unknown => false,
    }
}

/// A job thread's life.
pub(super) fn run(role: Role, id: u16, shared: &Arc<Shared>) -> Ledger {
    let mut client = Client::new(id, 0, Arc::clone(shared));
    if role == Role::Producer {
        produce(&mut client);
    } else {
        consume(role, &mut client);
    }
    client.ledger
}

fn produce(client: &mut Client) {
    let rate = f64::from(client.shared.config.jobs_per_second.max(1));
    let interval = Duration::from_secs_f64(1.0 / rate);
    let mut due = Instant::now();
    while client.shared.gate.wait(due) {
        due = (due + interval).max(Instant::now() - Duration::from_secs(1));
        let token = client.token();
        if client.rng.percent(25) {
            let mut c = cmd("XADD");
            c.arg(client.names.key(Kind::GroupRead, 0)).arg("*").arg("job").arg(token.to_string());
            let reply = client.call(Class::Write, &c);
            // A stream entry of its own kind of key: other than 0 in `other` marks the stream.
            client.record_full(Kind::JobPush, (0, 1), token, 0, (0, reply.outcome()));
            continue;
        }
        let queue = client.rng.below(u64::from(POPPED_QUEUES) + 1) as u32;
        let mut c = cmd("RPUSH");
        c.arg(client.names.key(Kind::JobPush, queue)).arg(token.to_string());
        let reply = client.call(Class::Write, &c);
        client.record(Kind::JobPush, queue, token, 0, &reply);
    }
}

fn consume(role: Role, client: &mut Client) {
    let mut idle = 0;
    loop {
        let go_on = client.shared.gate.wait(Instant::now());
        if !go_on && idle >= 2 {
            return;
        }
        let took = match role {
            Role::BlPop => pop(client, "BLPOP"),
            Role::BrPop => pop(client, "BRPOP"),
            Role::Mover => mover(client),
            Role::GroupReader | Role::Producer => read_group(client),
        };
        idle = if took { 0 } else { idle + 1 };
    }
}

fn pop(client: &mut Client, verb: &str) -> bool {
    let mut c = cmd(verb);
    for queue in 0..POPPED_QUEUES {
        c.arg(client.names.key(Kind::JobPop, queue));
    }
    c.arg(BLOCK_SECONDS);
    match client.call(Class::Blocking, &c) {
        Reply::Ok(reply) => match value::items(&reply) {
            [_queue, job] => took(client, Kind::JobPop, job),
            _ => false,
        },
        Reply::No(_) => false,
        Reply::Unknown => {
            lost_sight(client, Kind::JobPop, 0);
            false
        }
    }
}

fn mover(client: &mut Client) -> bool {
    let mut c = cmd("BLMOVE");
    c.arg(client.names.key(Kind::JobMove, POPPED_QUEUES)).arg(client.names.jobs_done());
    c.arg("LEFT").arg("RIGHT").arg(BLOCK_SECONDS);
    match client.call(Class::Blocking, &c) {
        Reply::Ok(Value::Nil) | Reply::No(_) => false,
        Reply::Ok(job) => took(client, Kind::JobMove, &job),
        Reply::Unknown => false,
    }
}

/// Reads new entries as a consumer that keeps its name, then acknowledges them.
fn read_group(client: &mut Client) -> bool {
    let stream = client.names.key(Kind::GroupRead, 0);
    let consumer = format!("consumer-{}", client.id);
    let mut c = cmd("XREADGROUP");
    c.arg("GROUP").arg(GROUP).arg(&consumer).arg("COUNT").arg(8);
    c.arg("BLOCK").arg(BLOCK_SECONDS * 1_000).arg("STREAMS").arg(&stream).arg(">");
    let reply = client.call(Class::Blocking, &c);
    match &reply {
        Reply::Ok(Value::Nil) => return false,
        Reply::Ok(streams) => {
            let entries = group_entries(streams);
            for (_, job) in &entries {
                client.record_full(Kind::GroupRead, (0, 0), *job, 0, (1, Outcome::Ok));
            }
            let mut ack = cmd("XACK");
            ack.arg(&stream).arg(GROUP);
            for (id, _) in &entries {
                ack.arg(id);
            }
            if !entries.is_empty() {
                client.call(Class::Write, &ack);
            }
            return !entries.is_empty();
        }
        Reply::No(_) => {}
        Reply::Unknown => lost_sight(client, Kind::GroupRead, 0),
    }
    false
}

/// Ids and jobs in XREADGROUP's reply, RESP2 or RESP3.
fn group_entries(streams: &Value) -> Vec<(Vec<u8>, Token)> {
    let entries = match streams {
        Value::Map(map) => map.first().map(|(_, entries)| entries),
        other => value::items(other).first().and_then(|s| value::items(s).get(1)),
    };
    let Some(entries) = entries else { return Vec::new() };
    value::items(entries)
        .iter()
        .filter_map(|entry| match value::items(entry) {
            [id, fields] => {
                let job = value::field(fields, "job")?;
                Some((value::bytes(id)?.to_vec(), Token::parse(value::bytes(job)?)?))
            }
            _ => None,
        })
        .collect()
}

fn took(client: &mut Client, kind: Kind, job: &Value) -> bool {
    match value::bytes(job).and_then(Token::parse) {
        Some(token) => client.record_full(kind, (0, 0), token, 0, (1, Outcome::Ok)),
        None => client.violation(format!("a queue held {job:?}, which nobody pushed")),
    }
    true
}

/// A take whose outcome is unknown: some job may be gone, no name is known.
fn lost_sight(client: &mut Client, kind: Kind, key: u32) {
    client.record_full(kind, (key, 0), Token(0), 0, (0, Outcome::Unknown));
}
