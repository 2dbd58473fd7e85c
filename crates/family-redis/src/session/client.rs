//! One client: what is at the front of its input, and what each request means for its state.

use std::sync::Arc;
use std::time::Duration;

use family::{
    After, ClientError, Expect, Next, Place, Refused, Replied, Request, Session, SessionFacts,
    Settles,
};
use model::{Access, Touch, Touches};
use wire_redis::{Arguments, Pending, RequestScanner, Scanned, split_inline};

use super::expect;
use super::identity::Identity;
use super::local::{self, command};
use super::subscriptions::{Of, Subscriptions};
use super::transaction::Transaction;
use crate::commands::{self, Blocks, Command, Keys, Kind, Role};
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

impl RedisSession {
    pub(super) fn new(tenant_rule: Option<Arc<str>>) -> Self {
        Self {
            tenant_rule,
            scanner: RequestScanner::new(),
            streaming: Streaming::No,
            malformed: String::new(),
            rewritten: Vec::new(),
            identity: Identity::default(),
            candidate: Identity::default(),
            version: 0,
            name: Vec::new(),
            library: [Vec::new(), Vec::new()],
            transaction: None,
            watching: false,
            watch_broken: false,
            subscriptions: Subscriptions::default(),
            monitoring: false,
            tracking: None,
            state: Vec::new(),
            state_commands: 0,
            replies: Replies::On,
            pending: PendingReply::Nothing,
        }
    }

    /// The database that keys of the next request are in.
    fn db(&self) -> u16 {
        self.transaction.as_ref().and_then(|t| t.db).unwrap_or(self.identity.db())
    }

    fn malformed(&mut self, text: impl Into<String>) -> Next {
        self.malformed = text.into();
        Next::Malformed
    }

    /// A request that is not all there: stream it if it is large and of a kind that can be.
    fn incomplete(&mut self, input: &[u8]) -> Next {
        let Some(pending) = self.scanner.pending(input) else { return Next::More };
        let large = pending.bytes > STREAM_BYTES || pending.missing > STREAM_BYTES;
        if !large {
            return Next::More;
        }
        let raw = &input[..pending.bytes];
        let mut args = Arguments::new(raw);
        let (name, first) = (args.next(), args.next());
        let streamable = name.is_some_and(|name| {
            let row = commands::row(commands::find(name, first));
            let plain = matches!(row.role, Role::Plain | Role::Unknown);
            plain && row.blocks == Blocks::Never && (first.is_some() || !row.container)
        });
        if !streamable {
            let too_large = pending.bytes + pending.missing > WHOLE_BYTES_MAX;
            return if too_large { self.malformed("request too large") } else { Next::More };
        }
        if pending.bytes == 0 {
            return Next::More;
        }
        let next = self.understand(raw, raw.len(), false);
        let Next::Request(mut request) = next else { return next };
        request.open = true;
        request.place = Place::Own;
        request.comparable = false;
        request.follower = false;
        if !keys_seen(commands::row(request.class).keys, pending) && request.access == Access::Read
        {
            request.access = Access::Write;
        }
        self.streaming = Streaming::Opening;
        Next::Request(request)
    }

    /// What one request is. `len` are the client's bytes it takes, `raw` its array form.
    fn understand(&mut self, raw: &[u8], len: usize, rewritten: bool) -> Next {
        let mut args = Arguments::new(raw);
        let count = args.announced();
        let (name, first) = (args.next().unwrap_or_default(), args.next());
        let class = commands::find(name, first);
        let row = commands::row(class);
        let encumbered = self.encumbered();
        let mut request = Request {
            len,
            open: false,
            class,
            access: access(row, raw),
            place: if encumbered { Place::Own } else { Place::Shared },
            expect: expect::ONE,
            rewritten,
            inspect: false,
            blocking: false,
            comparable: row.compare != commands::Comparator::NotCompared && !encumbered,
            follower: row.follower && !encumbered,
            suppress: self.replies != Replies::On,
        };
        if row.role == Role::Plain && row.blocks == Blocks::Never {
            if is_script(row) {
                request.place = Place::Own;
            }
            return Next::Request(request);
        }
        self.special(row, raw, count, request)
    }

    /// Requests with a role, or that may wait.
    fn special(&mut self, row: &Command, raw: &[u8], count: usize, mut request: Request) -> Next {
        let queued = self.transaction.is_some();
        let local = Next::Local { len: request.len, class: request.class };
        match row.role {
            Role::Auth | Role::Hello if queued && count > 1 => return local,
            Role::Auth | Role::Hello | Role::Select if count > 1 && !queued => {
                return self.identify(row.role, raw, request);
            }
            Role::Reset | Role::Quit | Role::Replica => return local,
            Role::SetName | Role::Reply if count == 3 && !queued => return local,
            Role::SetInfo if count == 4 && !queued => return local,
            Role::GetName if count == 2 && !queued => return local,
            Role::Multi | Role::Watch => request.place = Place::Own,
            Role::Exec if queued => {
                request.access = Access::Write;
                let failed = self.transaction.as_ref().is_some_and(|t| t.failed);
                if failed || self.watch_broken {
                    self.rewritten.clear();
                    command(&mut self.rewritten, &[b"DISCARD"]);
                    request.access = Access::Session;
                    request.rewritten = true;
                    request.inspect = true;
                }
                request.inspect |= self.transaction.as_ref().is_some_and(|t| t.db.is_some());
            }
            Role::Exec => request.access = Access::Server,
            Role::Subscribe | Role::PSubscribe | Role::SSubscribe if !queued && count > 1 => {
                request.place = Place::Own;
                request.expect = expect::confirmations(count - 1);
                request.inspect = true;
            }
            Role::Unsubscribe | Role::PUnsubscribe | Role::SUnsubscribe if !queued => {
                let all = self.subscriptions.count(subscribed_to(row.role));
                let confirmations = if count > 1 { count - 1 } else { all };
                request.place = Place::Own;
                request.expect = expect::confirmations(confirmations);
                request.inspect = true;
            }
            Role::Monitor if !queued => {
                request.place = Place::Own;
                request.expect = expect::MONITOR;
                request.inspect = true;
            }
            Role::Tracking if !queued => {
                request.place = Place::Own;
                request.inspect = true;
            }
            Role::Wait if !queued => {
                // A server counts from the last command of this very connection.
                let own = if request.rewritten { self.rewritten.clone() } else { raw.to_vec() };
                self.rewritten.clear();
                command(&mut self.rewritten, &[b"PING"]);
                self.rewritten.extend_from_slice(&own);
                request.rewritten = true;
                request.expect = expect::AFTER_PING;
                request.place = Place::Own;
                request.blocking = true;
            }
            Role::State | Role::Unknown => request.place = Place::Own,
            _ => {}
        }
        if row.blocks != Blocks::Never && row.role != Role::Wait && !queued {
            request.blocking = commands::limit(row.blocks, raw).is_some();
            if request.blocking {
                request.place = Place::Own;
            }
        }
        Next::Request(request)
    }

    /// AUTH, HELLO with a version, SELECT: the client asks to be somebody else, or elsewhere.
    fn identify(&mut self, role: Role, raw: &[u8], mut request: Request) -> Next {
        let args: Vec<&[u8]> = Arguments::new(raw).skip(1).take(8).collect();
        let local = Next::Local { len: request.len, class: request.class };
        let mut name = None;
        let candidate = match (role, args.as_slice()) {
            (Role::Auth, [password]) => self.identity.clone().with_login(None, password),
            (Role::Auth, [user, password]) => {
                self.identity.clone().with_login(Some(user), password)
            }
            (Role::Select, [db]) => match std::str::from_utf8(db).ok().and_then(|d| d.parse().ok())
            {
                Some(db) => self.identity.clone().with_db(db),
                // Not a number, negative or far too large: the server has the words for it.
                None => return Next::Request(request),
            },
            (Role::Hello, args) => {
                let Ok(hello) = local::hello(args) else { return local };
                name = hello.name.map(<[u8]>::to_vec);
                let identity = self.identity.clone().with_resp3(hello.resp3);
                let login = hello.login.map(|(u, p)| identity.clone().with_login(Some(u), p));
                let version: &[u8] = if hello.resp3 { b"3" } else { b"2" };
                self.rewritten.clear();
                match hello.login {
                    Some((u, p)) => {
                        command(&mut self.rewritten, &[b"HELLO", version, b"AUTH", u, p]);
                    }
                    None => command(&mut self.rewritten, &[b"HELLO", version]),
                }
                request.rewritten = true;
                login.unwrap_or(identity)
            }
            // A number of arguments that the server refuses.
            _ => return Next::Request(request),
        };
        if candidate == self.identity && name.is_none() {
            // Asking a connection that already is: changes nothing there.
            return Next::Request(request);
        }
        self.candidate = candidate;
        self.pending = PendingReply::Become { name };
        request.inspect = true;
        if request.place == Place::Shared {
            request.place = Place::Candidate;
        }
        Next::Request(request)
    }

    fn reset(&mut self) {
        let fresh = Self::new(self.tenant_rule.clone());
        let old = std::mem::replace(self, fresh);
        self.scanner = old.scanner;
        self.version = old.version + 1;
        self.library = old.library;
    }

    fn touch(&self, db: u16, name: &[u8]) -> Touch {
        let tenant = self
            .tenant_rule
            .as_deref()
            .and_then(|rule| key::tenant(rule, key::KeyRef { db, name }));
        Touch { key: key::encode(db, name), tenant }
    }

    /// Collects one request's keys. Returns whether it may touch others as well.
    fn collect(&self, row: &Command, db: u16, raw: &[u8], keys: &mut Vec<Touch>) -> bool {
        let ok = commands::for_each_key(row, raw, |other, name| {
            keys.push(self.touch(other.unwrap_or(db), name));
        });
        row.anything || !ok
    }

    /// Everything the open transaction touches.
    fn collect_queued(&self, transaction: &Transaction, keys: &mut Vec<Touch>) -> bool {
        let mut anything = transaction.overflown();
        let mut db = self.identity.db();
        for raw in transaction.requests() {
            let mut args = Arguments::new(raw);
            let (name, first) = (args.next().unwrap_or_default(), args.next());
            let row = commands::row(commands::find(name, first));
            match row.role {
                Role::Select => db = first.and_then(parse_db).unwrap_or(db),
                _ if access(row, raw) == Access::Write => {
                    anything |= self.collect(row, db, raw, keys);
                }
                _ => {}
            }
        }
        anything
    }
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

    fn moved(&mut self, out: &mut Vec<u8>) {
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

impl RedisSession {
    fn set_info(&mut self, attribute: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let index = match attribute.to_ascii_lowercase().as_slice() {
            b"lib-name" => 0,
            b"lib-ver" => 1,
            _ => {
                let shown = String::from_utf8_lossy(attribute).replace(['\r', '\n'], " ");
                return local::text(out, &format!("ERR Unrecognized option '{shown}'"));
            }
        };
        if !local::is_name(value) {
            let name = String::from_utf8_lossy(attribute).to_ascii_lowercase();
            return local::text(
                out,
                &format!("ERR {name} cannot contain spaces, newlines or special characters."),
            );
        }
        self.library[index] = value.to_vec();
        self.version += 1;
        local::ok(out);
    }

    fn set_reply(&mut self, how: &[u8], silent: bool, out: &mut Vec<u8>) -> After {
        match how.to_ascii_lowercase().as_slice() {
            b"on" => {
                self.replies = Replies::On;
                local::ok(out);
            }
            b"off" => self.replies = Replies::Off,
            // SKIP changes nothing while replies are off.
            b"skip" if self.replies != Replies::Off => self.replies = Replies::SkipNext,
            b"skip" => {}
            _ if silent => {}
            _ => local::text(out, "ERR syntax error"),
        }
        After::Continue
    }
}

fn access(row: &Command, raw: &[u8]) -> Access {
    match row.kind {
        Kind::Read => Access::Read,
        Kind::Write if row.keys == Keys::Store && !commands::stores(raw) => Access::Read,
        Kind::Write => Access::Write,
        Kind::Server => Access::Server,
        Kind::Refused => Access::Refused,
    }
}

/// Scripts and what must reach a server that is busy with one: never behind other clients.
fn is_script(row: &Command) -> bool {
    matches!(
        row.name,
        "eval"
            | "evalsha"
            | "fcall"
            | "eval_ro"
            | "evalsha_ro"
            | "fcall_ro"
            | "script|kill"
            | "function|kill"
            | "shutdown"
            | "debug"
    )
}

/// Whether all keys are among the arguments that have arrived.
fn keys_seen(keys: Keys, pending: Pending) -> bool {
    match keys {
        Keys::Nowhere => true,
        Keys::Range(_, last @ 0.., _) => pending.arguments > usize::from(last.unsigned_abs()),
        _ => false,
    }
}

fn subscribed_to(role: Role) -> Of {
    match role {
        Role::PUnsubscribe => Of::Patterns,
        Role::SUnsubscribe => Of::Shards,
        _ => Of::Channels,
    }
}

fn parse_db(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_nil(reply: &[u8]) -> bool {
    reply.starts_with(b"*-1\r\n") || reply.starts_with(b"$-1\r\n") || reply.starts_with(b"_\r\n")
}
