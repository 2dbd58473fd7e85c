//! One client: what is at the front of its input, and what each request means for its state.

mod meaning;
mod small;

use std::sync::Arc;
use std::time::Duration;

use family::{
    After, ClientError, Expect, Next, Refused, Replied, Request, Session, SessionFacts, Settles,
};
use model::Touches;
use wire_redis::{Arguments, RequestScanner, Scanned, split_inline};

use small::{is_nil, parse_db};

use super::expect;
use super::identity::Identity;
use super::local::{self, command};
use super::scripts::Scripts;
use super::subscriptions::Subscriptions;
use super::transaction::Transaction;
use crate::commands::{self, Blocks, Kind, Role};
use crate::key;

/// A request with more bytes than this is streamed instead of being kept whole.
const STREAM_BYTES: usize = 256 * 1024;
/// A request that has to be understood whole may not be larger.
const WHOLE_BYTES_MAX: usize = 16 << 20;
/// Bytes of connection-state commands kept for a switch.
const STATE_BYTES_MAX: usize = 64 * 1024;

/// A client of an interlay.
#[derive(Debug)]
pub struct RedisSession {
    tenant_rule: Option<Arc<str>>,
    scripts: Arc<Scripts>,
    scanner: RequestScanner,
    streaming: Streaming,
    malformed: String,
    rewritten: Vec<u8>,
    identity: Identity,
    candidate: Identity,
    version: u32,
    name: Vec<u8>,
    library: [Vec<u8>; 2],
    transaction: Option<Box<Transaction>>,
    watching: bool,
    /// A watched connection was left behind at a switch: the next EXEC answers nil.
    watch_broken: bool,
    subscriptions: Subscriptions,
    monitoring: bool,
    /// The CLIENT TRACKING ON that is in force.
    tracking: Option<Vec<u8>>,
    /// Other commands that changed the own connection's state.
    state: Vec<u8>,
    state_commands: usize,
    replies: Replies,
    pending: PendingReply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streaming {
    No,
    /// The request at the front was returned as open.
    Opening,
    Body,
    /// The last part was returned.
    Closing,
}

/// CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    On,
    Off,
    SkipNext,
}

/// What an inspected reply will mean.
#[derive(Debug, Default)]
enum PendingReply {
    #[default]
    Nothing,
    /// The candidate becomes the identity; HELLO may bring a name.
    Become {
        name: Option<Vec<u8>>,
    },
    /// EXEC was sent; the database changes if it runs.
    Select(u16),
    /// DISCARD was sent in place of an EXEC that has to fail.
    Abort {
        nil: bool,
    },
    Tracking(Vec<u8>),
}

impl Session for RedisSession {
    type Identity = Identity;

    #[inline]
    fn next(&mut self, input: &[u8]) -> Next {
        if self.streaming == Streaming::Body {
            return match self.scanner.rest(input) {
                Ok((0, false)) => Next::More,
                Ok((len, last)) => {
                    if last {
                        self.streaming = Streaming::Closing;
                    }
                    Next::Body(len, last)
                }
                Err(e) => self.malformed(e.to_string()),
            };
        }
        match self.scanner.scan(input) {
            Ok(Scanned::More) => self.incomplete(input),
            Ok(Scanned::Empty(len)) => Next::Skip(len),
            Ok(Scanned::Array(len)) => self.understand(&input[..len], len, false),
            Ok(Scanned::Inline(len)) => {
                let Some(args) = split_inline(&input[..len]) else {
                    return self.malformed("unbalanced quotes in request");
                };
                if args.is_empty() {
                    return Next::Skip(len);
                }
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                let mut raw = Vec::new();
                command(&mut raw, &args);
                self.rewritten.clone_from(&raw);
                self.understand(&raw, len, true)
            }
            Err(e) => self.malformed(e.to_string()),
        }
    }

    fn taken(&mut self, len: usize) {
        self.scanner.taken(len);
        self.streaming = match self.streaming {
            Streaming::Opening | Streaming::Body => Streaming::Body,
            Streaming::No | Streaming::Closing => Streaming::No,
        };
    }

    fn rewritten(&self) -> &[u8] {
        &self.rewritten
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn candidate(&self) -> &Identity {
        &self.candidate
    }

    fn touches(&self, request: &Request, raw: &[u8]) -> (Touches, bool) {
        let row = commands::row(request.class);
        let mut keys = Vec::new();
        let anything = match (row.role, &self.transaction) {
            (Role::Exec, Some(transaction)) => self.collect_queued(transaction, &mut keys),
            (Role::Exec, None) => false,
            _ if matches!(row.kind, Kind::Server | Kind::Refused) => false,
            _ if row.name == "flushdb" => return (Touches::Dataset(key::dataset(self.db())), true),
            _ => self.collect(row, self.db(), raw, &mut keys) || request.open,
        };
        match (keys.is_empty(), anything) {
            (true, true) => (Touches::Anything, true),
            (true, false) => (Touches::Nothing, false),
            (false, anything) => (Touches::Keys(keys), anything),
        }
    }

    fn sent(&mut self, request: &Request, raw: &[u8]) {
        let row = commands::row(request.class);
        if self.replies == Replies::SkipNext {
            self.replies = Replies::On;
        }
        if row.anything || row.role == Role::ScriptLoad {
            self.learn(row, raw);
        }
        if row.role == Role::Plain && self.transaction.is_none() {
            return;
        }
        match (row.role, self.transaction.as_deref_mut()) {
            (Role::Exec, Some(transaction)) => {
                self.pending = match (transaction.failed, transaction.db) {
                    (true, _) => PendingReply::Abort { nil: false },
                    _ if self.watch_broken => PendingReply::Abort { nil: true },
                    (_, Some(db)) => PendingReply::Select(db),
                    _ => PendingReply::Nothing,
                };
                self.transaction = None;
                (self.watching, self.watch_broken) = (false, false);
            }
            (Role::Discard, Some(_)) => {
                self.transaction = None;
                (self.watching, self.watch_broken) = (false, false);
            }
            // Refused by the server without being queued.
            (Role::Multi | Role::Watch, Some(_)) => {}
            (_, Some(transaction)) => {
                if request.open {
                    transaction.overflow();
                }
                transaction.queue(raw);
                if row.role == Role::Select {
                    let db = Arguments::new(raw).nth(1).and_then(parse_db);
                    transaction.db = db.or(transaction.db);
                }
            }
            (Role::Multi, None) => self.transaction = Some(Box::default()),
            (Role::Watch, None) => self.watching = true,
            (Role::Unwatch, None) => (self.watching, self.watch_broken) = (false, false),
            (Role::Tracking, None) => self.pending = PendingReply::Tracking(raw.to_vec()),
            (Role::State, None)
                if row.name != "client|info" && self.state.len() + raw.len() <= STATE_BYTES_MAX =>
            {
                self.state.extend_from_slice(raw);
                self.state_commands += 1;
            }
            _ => {}
        }
    }

    fn settles(&self, class: u16, head: &[u8]) -> Settles {
        let row = commands::row(class);
        let error = matches!(head.first(), Some(b'-' | b'!'));
        let nothing = match row.role {
            Role::Exec => error || is_nil(head),
            Role::Unknown => head.starts_with(b"-ERR unknown command"),
            _ if head.starts_with(b"+QUEUED\r\n") => true,
            // A script may fail after it has written.
            _ if row.anything => false,
            _ if row.blocks != Blocks::Never && is_nil(head) => true,
            // Any other command is refused whole or runs whole.
            _ => error,
        };
        if nothing { Settles::Nothing } else { Settles::Applied }
    }

    fn replied(&mut self, class: u16, reply: &[u8], out: &mut Vec<u8>) -> Replied {
        let error = matches!(reply.first(), Some(b'-' | b'!'));
        match std::mem::take(&mut self.pending) {
            PendingReply::Become { name } if !error => {
                let release = !self.encumbered();
                self.identity = std::mem::take(&mut self.candidate);
                if let Some(name) = name {
                    self.name = name;
                }
                self.version += 1;
                return Replied::Forward(if release { After::Release } else { After::Continue });
            }
            PendingReply::Select(db) if !error && !is_nil(reply) => {
                self.identity = self.identity.clone().with_db(db);
                self.version += 1;
                return Replied::Forward(After::Release);
            }
            PendingReply::Abort { nil: true } => {
                local::nil_array(out, self.identity.resp3());
                return Replied::Replace(After::Continue);
            }
            PendingReply::Abort { nil: false } => {
                local::text(out, "EXECABORT Transaction discarded because of previous errors.");
                return Replied::Replace(After::Continue);
            }
            PendingReply::Tracking(raw) if !error => {
                let on = Arguments::new(&raw).nth(2).is_some_and(|a| a.eq_ignore_ascii_case(b"ON"));
                self.tracking = on.then_some(raw);
            }
            _ => {}
        }
        match commands::row(class).role {
            Role::Monitor if !error => self.monitoring = true,
            Role::Subscribe
            | Role::PSubscribe
            | Role::SSubscribe
            | Role::Unsubscribe
            | Role::PUnsubscribe
            | Role::SUnsubscribe => self.subscriptions.confirm(reply),
            _ => {}
        }
        Replied::Forward(After::Continue)
    }

    fn answer(&mut self, raw: &[u8], out: &mut Vec<u8>) -> After {
        let inline: Vec<u8>;
        let raw = match raw.first() {
            Some(b'*') => raw,
            _ => {
                inline = self.rewritten.clone();
                &inline
            }
        };
        let args: Vec<&[u8]> = Arguments::new(raw).collect();
        let row = commands::row(commands::find(args[0], args.get(1).copied()));
        let silent = self.replies != Replies::On;
        if self.replies == Replies::SkipNext {
            self.replies = Replies::On;
        }
        let before = out.len();
        let mut after = After::Continue;
        match row.role {
            Role::Quit => {
                local::ok(out);
                after = After::Close;
            }
            Role::Reset => {
                self.reset();
                out.extend_from_slice(b"+RESET\r\n");
                return After::Release;
            }
            Role::SetName if local::is_name(args[2]) => {
                self.name = args[2].to_vec();
                self.version += 1;
                local::ok(out);
            }
            Role::SetName => local::text(out, local::BAD_NAME),
            Role::GetName if self.name.is_empty() => local::nil(out, self.identity.resp3()),
            Role::GetName => local::bulk(out, &self.name),
            Role::SetInfo => self.set_info(args[2], args[3], out),
            Role::Reply => return self.set_reply(args[2], silent, out),
            Role::Hello if self.transaction.is_none() => {
                if let Err(text) = local::hello(&args[1..]) {
                    local::text(out, &text);
                }
            }
            Role::Replica => {
                local::error(Refused::NotKept.into(), out);
                after = After::Close;
            }
            _ => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.failed = true;
                }
                local::text(out, "ERR Command not allowed inside a transaction");
            }
        }
        if silent {
            out.truncate(before);
        }
        after
    }

    fn refuse(&mut self, error: &ClientError, out: &mut Vec<u8>) {
        if let Some(transaction) = &mut self.transaction {
            transaction.failed = true;
        }
        if self.replies == Replies::On {
            local::error(*error, out);
        } else if self.replies == Replies::SkipNext {
            self.replies = Replies::On;
        }
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        local::text(out, &format!("ERR Protocol error: {}", self.malformed));
    }

    fn encumbered(&self) -> bool {
        self.transaction.is_some()
            || self.watching
            || self.monitoring
            || self.tracking.is_some()
            || self.state_commands > 0
            || !self.subscriptions.is_empty()
    }

    fn restore(&self, out: &mut Vec<u8>, expects: &mut Vec<Expect>) -> Result<(), ClientError> {
        if let Some(raw) = &self.tracking {
            out.extend_from_slice(raw);
            expects.push(expect::ONE);
        }
        out.extend_from_slice(&self.state);
        expects.extend((0..self.state_commands).map(|_| expect::ONE));
        self.subscriptions.restore(out, |count| expects.push(expect::confirmations(count)));
        if let Some(transaction) = &self.transaction {
            if transaction.overflown() {
                return Err(Refused::TooLarge.into());
            }
            command(out, &[b"MULTI"]);
            out.extend_from_slice(transaction.bytes());
            expects.extend((0..=transaction.count()).map(|_| expect::ONE));
        }
        if self.monitoring {
            command(out, &[b"MONITOR"]);
            expects.push(expect::MONITOR);
        }
        Ok(())
    }

    fn moved(&mut self, _replies: &[u8], out: &mut Vec<u8>) {
        self.watch_broken |= std::mem::take(&mut self.watching);
        if self.tracking.is_some() && self.identity.resp3() {
            out.extend_from_slice(b">2\r\n$10\r\ninvalidate\r\n_\r\n");
        }
    }

    fn again(&mut self, class: u16, raw: &[u8], waited: Duration) -> Option<Vec<u8>> {
        let row = commands::row(class);
        match commands::limit(row.blocks, raw)? {
            None => Some(raw.to_vec()),
            Some(limit) => {
                let left = limit.checked_sub(waited).filter(|left| !left.is_zero())?;
                commands::with_limit(row.blocks, raw, left)
            }
        }
    }

    fn gave_up(&self, reply: &[u8]) -> bool {
        is_nil(reply)
    }

    fn facts(&self) -> SessionFacts {
        let text = |b: &[u8]| (!b.is_empty()).then(|| String::from_utf8_lossy(b).into_owned());
        let library = [&self.library[0], &self.library[1]].map(|part| text(part));
        SessionFacts {
            user: self.identity.user(),
            name: text(&self.name),
            database: format!("db{}", self.identity.db()),
            library: match library {
                [Some(name), Some(version)] => Some(format!("{name} {version}")),
                [name, version] => name.or(version),
            },
            state: match () {
                () if self.monitoring => "monitor",
                () if !self.subscriptions.is_empty() => "subscribed",
                () if self.transaction.is_some() => "transaction",
                () if self.watching => "watching",
                () if self.tracking.is_some() => "tracking",
                () => "idle",
            },
        }
    }

    fn fingerprint(&self, request: &Request, raw: &[u8]) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&request.class.to_le_bytes());
        let count = Arguments::new(raw).announced();
        hasher.update(&count.min(16).next_power_of_two().to_le_bytes());
        let mut first = true;
        commands::for_each_key(commands::row(request.class), raw, |_, name| {
            if std::mem::take(&mut first) {
                // Runs of digits and hexadecimal ids are one wildcard.
                let mut wild = false;
                for &byte in name.iter().take(128) {
                    let digit = byte.is_ascii_digit();
                    match (digit, wild) {
                        (true, true) => {}
                        (true, false) => hasher.update(b"#"),
                        (false, _) => hasher.update(&[byte]),
                    }
                    wild = digit;
                }
            }
        });
        hasher.digest()
    }
}
