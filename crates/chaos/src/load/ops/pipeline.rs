//! Deep pipelines: many commands sent at once, every reply known beforehand. A reply that belongs
//! to another request, another session or another database is caught at once.

use redis::{Cmd, Value, cmd};

use crate::load::client::{Client, Reply};
use crate::load::ledger::{Expectation, State};
use crate::value;

/// Commands per pipeline, at most.
const DEPTH: u64 = 48;
/// One value in so many is this large instead of small.
const WIDE_ONE_IN: u64 = 12;
const WIDE_BYTES: usize = 200_000;

/// A client's own counter and value.
#[derive(Default)]
pub(in crate::load) struct Pipeline {
    generation: u32,
    count: u64,
}

/// What a reply has to be.
enum Due {
    Int(i64),
    Bytes(Vec<u8>),
    Done,
}

impl Pipeline {
    /// Sends a pipeline and checks every reply.
    pub(in crate::load) fn run(&mut self, client: &mut Client) {
        let depth = client.rng.range(2, DEPTH);
        let counter = self.counter(client);
        let (mut commands, mut dues, mut count) = (Vec::new(), Vec::new(), self.count);
        for _ in 0..depth {
            let (command, due) = match client.rng.below(8) {
                0..4 => {
                    count += 1;
                    (about("INCR", &counter), Due::Int(count as i64))
                }
                4 => {
                    let held = if count == 0 { Vec::new() } else { count.to_string().into_bytes() };
                    (about("GET", &counter), Due::Bytes(held))
                }
                5 => {
                    let mut c = cmd("CLIENT");
                    c.arg("GETNAME");
                    (c, Due::Bytes(client.name().into_bytes()))
                }
                6 => value_pair(client, &mut commands, &mut dues),
                _ => {
                    let token = client.token().to_string();
                    (about("ECHO", &token), Due::Bytes(token.into_bytes()))
                }
            };
            commands.push(command);
            dues.push(due);
        }
        match client.pipeline(&commands) {
            Ok(replies) => {
                if let Some(what) = wrong(&dues, &replies) {
                    client.violation(what);
                }
                // What was refused was not counted: the next pipeline starts from what is known.
                let refused = |(due, reply): (&Due, &Result<Value, String>)| {
                    matches!(due, Due::Int(_)) && reply.is_err()
                };
                let refused = dues.iter().zip(&replies).filter(|pair| refused(*pair)).count();
                self.count = count - refused as u64;
            }
            Err(Reply::No(_)) => {}
            Err(_) => {
                let allowed = (self.count..=count).map(held).collect();
                self.expect(client, allowed);
                self.generation += 1;
                self.count = 0;
            }
        }
    }

    fn counter(&self, client: &Client) -> String {
        client.names.own("pipelined", client.id, self.generation, 0)
    }

    /// Says what the counter must hold now.
    pub(in crate::load) fn finish(&mut self, client: &mut Client) {
        self.expect(client, vec![held(self.count)]);
    }

    fn expect(&self, client: &mut Client, allowed: Vec<State>) {
        let (db, key) = (client.db, self.counter(client));
        client.ledger.expectations.push(Expectation { db, key, offset: None, allowed });
    }
}

/// SET now, GET as the command that follows it, sometimes of a large value.
fn value_pair(client: &mut Client, commands: &mut Vec<Cmd>, dues: &mut Vec<Due>) -> (Cmd, Due) {
    let wide = client.rng.below(DEPTH * WIDE_ONE_IN) == 0;
    let len = if wide { WIDE_BYTES } else { client.rng.range(1, 300) as usize };
    let key = client.names.own("value", client.id, 0, u32::from(wide));
    let content = client.rng.bytes(len);
    let mut set = about("SET", &key);
    set.arg(&content);
    commands.push(set);
    dues.push(Due::Done);
    (about("GET", &key), Due::Bytes(content))
}

fn about(verb: &str, key: &str) -> Cmd {
    let mut c = cmd(verb);
    c.arg(key);
    c
}

fn held(count: u64) -> State {
    if count == 0 { State::Absent } else { State::Value(count.to_string().into_bytes()) }
}

/// The first reply that is not what it has to be. Once something was refused, only what does not
/// depend on it is compared.
fn wrong(dues: &[Due], replies: &[Result<Value, String>]) -> Option<String> {
    let whole = replies.iter().all(Result::is_ok);
    let right = |due: &Due, reply: &Value| match due {
        Due::Int(due) => !whole || value::int(reply) == Some(*due),
        Due::Bytes(due) => !whole || value::bytes(reply).unwrap_or_default() == due,
        Due::Done => *reply == Value::Okay,
    };
    dues.iter().zip(replies).enumerate().find_map(|(n, (due, reply))| {
        let reply = reply.as_ref().ok().filter(|reply| !right(due, reply))?;
        let shown = value::bytes(reply).map_or_else(|| format!("{reply:?}"), value::show);
        Some(format!("reply {n} of a pipeline of {} is another's: {shown}", dues.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_foreign_and_missing_replies_are_wrong() {
        let dues = [Due::Int(1), Due::Bytes(b"token".to_vec()), Due::Done];
        let int = |n| Ok(Value::Int(n));
        let text = |t: &[u8]| Ok(Value::BulkString(t.to_vec()));
        assert_eq!(wrong(&dues, &[int(1), text(b"token"), Ok(Value::Okay)]), None);
        assert!(wrong(&dues, &[text(b"token"), int(1), Ok(Value::Okay)]).is_some(), "swapped");
        assert!(wrong(&dues, &[int(1), text(b"other"), Ok(Value::Okay)]).is_some(), "foreign");
        assert!(wrong(&dues, &[int(2), text(b"token"), Ok(Value::Okay)]).is_some(), "skipped");
        assert!(wrong(&dues, &[int(1), text(b"token"), Ok(Value::Nil)]).is_some(), "shifted");
        let refused = Err("refused".to_owned());
        assert_eq!(wrong(&dues, &[refused, text(b"token"), Ok(Value::Okay)]), None);
    }
}
