//! What each request means for a client's state, and which keys it touches.

use std::sync::Arc;

use family::{Next, Place, Request, Session};
use model::{Access, Touch};
use wire_redis::{Arguments, RequestScanner};

use super::super::identity::Identity;
use super::super::local::command;
use super::super::scripts::Scripts;
use super::super::subscriptions::Subscriptions;
use super::super::transaction::Transaction;
use super::super::{expect, local};
use super::small::{access, is_script, keys_seen, parse_db, subscribed_to};
use super::{PendingReply, RedisSession, Replies, STREAM_BYTES, Streaming, WHOLE_BYTES_MAX};
use crate::commands::{Blocks, Command, Role};
use crate::{commands, key};

impl RedisSession {
    pub(in crate::session) fn new(tenant_rule: Option<Arc<str>>, scripts: Arc<Scripts>) -> Self {
        Self {
            tenant_rule,
            scripts,
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
    pub(super) fn db(&self) -> u16 {
        self.transaction.as_ref().and_then(|t| t.db).unwrap_or(self.identity.db())
    }

    pub(super) fn malformed(&mut self, text: impl Into<String>) -> Next {
        self.malformed = text.into();
        Next::Malformed
    }

    /// A request that is not all there: stream it if it is large and of a kind that can be.
    pub(super) fn incomplete(&mut self, input: &[u8]) -> Next {
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
    pub(super) fn understand(&mut self, raw: &[u8], len: usize, rewritten: bool) -> Next {
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
    pub(super) fn special(
        &mut self,
        row: &Command,
        raw: &[u8],
        count: usize,
        mut request: Request,
    ) -> Next {
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
    pub(super) fn identify(&mut self, role: Role, raw: &[u8], mut request: Request) -> Next {
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

    pub(super) fn reset(&mut self) {
        let fresh = Self::new(self.tenant_rule.clone(), Arc::clone(&self.scripts));
        let old = std::mem::replace(self, fresh);
        self.scanner = old.scanner;
        self.version = old.version + 1;
        self.library = old.library;
    }

    pub(super) fn touch(&self, db: u16, name: &[u8]) -> Touch {
        let tenant = self
            .tenant_rule
            .as_deref()
            .and_then(|rule| key::tenant(rule, key::KeyRef { db, name }));
        Touch { key: key::encode(db, name), tenant }
    }

    /// Collects one request's keys. Returns whether it may touch others as well.
    pub(super) fn collect(
        &self,
        row: &Command,
        db: u16,
        raw: &[u8],
        keys: &mut Vec<Touch>,
    ) -> bool {
        let ok = commands::for_each_key(row, raw, |other, name| {
            keys.push(self.touch(other.unwrap_or(db), name));
        });
        row.anything || !ok
    }

    /// Everything the open transaction touches.
    pub(super) fn collect_queued(&self, transaction: &Transaction, keys: &mut Vec<Touch>) -> bool {
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
