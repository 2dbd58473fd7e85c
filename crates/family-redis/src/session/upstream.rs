//! One server connection: opening it, and telling replies from messages that answer nothing.

use family::{Expect, Frame, Greeting, Malformed, Of, Upstream};
use wire_redis::ReplyScanner;

use super::expect::{self, Kind};
use super::identity::Identity;
use super::local::command;

/// A server connection as its lane sees it.
#[derive(Debug)]
pub struct RedisUpstream {
    identity: Identity,
    tag: String,
    /// Opening: what each outstanding reply answers, newest first.
    opening: Vec<Opening>,
    connection: Option<u64>,
    scanner: ReplyScanner,
    /// The message that is being consumed; `None` between messages.
    current: Option<Current>,
    /// Messages of the head's reply that have been seen.
    seen: u32,
    /// RESP2: subscribed, so that arrays may be messages that answer nothing.
    subscribed: bool,
    /// Status lines that begin with a digit answer nothing.
    monitoring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// An error refuses the connection.
    Login,
    /// An error refuses the connection; the reply is a map with the connection's number.
    Hello,
    /// An error refuses the connection.
    Select,
    /// An error is of no interest.
    Name,
    /// The connection's number, or an error of no interest.
    Id,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    of: Of,
    error: bool,
}

impl RedisUpstream {
    pub(super) fn new(identity: Identity, tag: &str) -> Self {
        Self {
            identity,
            tag: tag.to_owned(),
            opening: Vec::new(),
            connection: None,
            scanner: ReplyScanner::new(),
            current: None,
            seen: 0,
            subscribed: false,
            monitoring: false,
        }
    }

    /// Decides whom the message at the front is for. `None`: too little of it is there.
    fn classify(&mut self, input: &[u8], head: Option<Expect>) -> Option<Current> {
        let tag = *input.first()?;
        let error = matches!(tag, b'-' | b'!');
        let kind = head.map_or(Kind::One, expect::kind);
        if tag == b'|' {
            // An attribute belongs to what follows it; both travel as one message.
            return Some(Current { of: self.reply_or_notice(head), error: false });
        }
        let of = match tag {
            b'>' => match word(input)? {
                w if kind == Kind::Confirmations && is_confirmation(w) => Of::Reply,
                _ => Of::Notice,
            },
            b'*' if self.subscribed || kind == Kind::Confirmations => match word(input)? {
                b"message" | b"pmessage" | b"smessage" => Of::Notice,
                _ => self.reply_or_notice(head),
            },
            b'+' if self.monitoring => match input.get(1)? {
                b'0'..=b'9' => Of::Notice,
                _ => self.reply_or_notice(head),
            },
            _ if kind == Kind::AfterPing && self.seen == 0 => Of::Nobody,
            _ => self.reply_or_notice(head),
        };
        Some(Current { of, error })
    }

    const fn reply_or_notice(&self, head: Option<Expect>) -> Of {
        if head.is_some() { Of::Reply } else { Of::Notice }
    }

    /// A message is complete. Whether the head's whole reply is.
    fn completed(
        &mut self,
        message: Option<&[u8]>,
        head: Option<Expect>,
        current: Current,
    ) -> bool {
        let Some(head) = head.filter(|_| current.of != Of::Notice) else { return true };
        let whole = match expect::kind(head) {
            Kind::One => true,
            Kind::Monitor => {
                self.monitoring |= !current.error;
                true
            }
            Kind::AfterPing => self.seen + 1 == expect::count(head),
            Kind::Confirmations => {
                if let Some(left) = message.and_then(subscriptions_left) {
                    self.subscribed = left > 0 && !self.identity.resp3();
                }
                current.error || self.seen + 1 == expect::count(head)
            }
        };
        self.seen = if whole { 0 } else { self.seen + 1 };
        whole
    }

    fn one_opening(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let step = self.opening.pop()?;
        let error = matches!(reply.first(), Some(b'-' | b'!'));
        match step {
            Opening::Login | Opening::Hello | Opening::Select if error => {
                return Some(reply.to_vec());
            }
            Opening::Hello => self.connection = id_of_hello(reply),
            Opening::Id if !error => self.connection = number(reply.get(1..).unwrap_or_default()),
            _ => {}
        }
        None
    }
}

impl Upstream for RedisUpstream {
    fn greet(&mut self, out: &mut Vec<u8>) {
        let mut steps = Vec::new();
        let login = self.identity.login();
        if self.identity.resp3() {
            match login {
                Some((user, password)) => {
                    let user = user.unwrap_or(b"default");
                    command(out, &[b"HELLO", b"3", b"AUTH", user, password]);
                }
                None => command(out, &[b"HELLO", b"3"]),
            }
            steps.push(Opening::Hello);
        } else if let Some((user, password)) = login {
            match user {
                Some(user) => command(out, &[b"AUTH", user, password]),
                None => command(out, &[b"AUTH", password]),
            }
            steps.push(Opening::Login);
        }
        if self.identity.db() != 0 {
            command(out, &[b"SELECT", self.identity.db().to_string().as_bytes()]);
            steps.push(Opening::Select);
        }
        command(out, &[b"CLIENT", b"SETNAME", self.tag.as_bytes()]);
        steps.push(Opening::Name);
        if !self.identity.resp3() {
            command(out, &[b"CLIENT", b"ID"]);
            steps.push(Opening::Id);
        }
        steps.reverse();
        self.opening = steps;
    }

    fn greeting(&mut self, input: &[u8], _out: &mut Vec<u8>) -> Result<Greeting, Malformed> {
        let mut at = 0;
        while !self.opening.is_empty() {
            // The opening is small: it is read again from its start until all of it is there.
            let mut scanner = ReplyScanner::new();
            let rest = input.get(at..).unwrap_or_default();
            let (len, end) = scanner.scan(rest).map_err(|_| Malformed("opening reply"))?;
            if !end {
                return Ok(Greeting::More(at));
            }
            if let Some(refusal) = self.one_opening(&rest[..len]) {
                return Ok(Greeting::Refused(refusal));
            }
            at += len;
        }
        Ok(Greeting::Ready(at))
    }

    #[inline]
    fn frame(&mut self, input: &[u8], head: Option<Expect>) -> Result<Option<Frame>, Malformed> {
        if input.is_empty() {
            return Ok(None);
        }
        let start = self.current.is_none();
        let current = match self.current {
            Some(current) => current,
            None => match self.classify(input, head) {
                Some(current) => current,
                None => return Ok(None),
            },
        };
        let (len, end) = self.scanner.scan(input).map_err(|_| Malformed("reply"))?;
        if len == 0 {
            return Ok(None);
        }
        let end_of_reply = if end {
            self.current = None;
            let whole = start.then_some(&input[..len]);
            self.completed(whole, head, current)
        } else {
            self.current = Some(current);
            false
        };
        let Current { of, error } = current;
        let end = if of == Of::Reply { end_of_reply } else { end };
        Ok(Some(Frame { len, of, start, end, error, tail: false, open: false, tells: false }))
    }

    fn connection(&self) -> Option<u64> {
        self.connection
    }
}

/// The first item of an aggregate, when it is a string and all there; empty when it is none.
fn word(input: &[u8]) -> Option<&[u8]> {
    let mut lines = input.split_inclusive(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r\n"));
    if matches!(lines.next()??, [_, b'0'] | [_, b'-', ..]) {
        return Some(b"");
    }
    let head = lines.next()??;
    match head.first() {
        Some(b'$') => lines.next()?,
        Some(b'+') => Some(&head[1..]),
        _ => Some(b""),
    }
}

fn is_confirmation(word: &[u8]) -> bool {
    word.ends_with(b"subscribe")
}

/// The number at the end of a confirmation: channels the client is still subscribed to.
pub(super) fn subscriptions_left(message: &[u8]) -> Option<u64> {
    let body = message.strip_suffix(b"\r\n")?;
    let at = memchr::memrchr(b'\n', body)?;
    number(body.get(at + 1..)?.strip_prefix(b":")?)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim_end().parse().ok()
}

/// The `id` of a HELLO reply.
fn id_of_hello(reply: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(reply, b"\r\n$2\r\nid\r\n:")? + 11;
    let rest = reply.get(at..)?;
    let end = memchr::memchr(b'\r', rest)?;
    number(&rest[..end])
}
