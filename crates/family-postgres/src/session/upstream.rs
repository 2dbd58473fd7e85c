//! One server connection: opening it, and telling what answers what.
//!
//! A server answers in order and ends with ReadyForQuery, but for what it passes over: after an
//! error among extended messages everything up to the next Sync, and in the middle of a COPY from
//! the client a Sync. What is passed over gets an empty reply as soon as anything else comes.

use family::{Expect, Frame, Greeting, Malformed, Of, Upstream};
use wire_postgres::encode;
use wire_postgres::rows::RowDescription;
use wire_postgres::session::{KeyData, Transaction};
use wire_postgres::startup::Version;
use wire_postgres::tags::{self, backend as tag};
use wire_postgres::{BackendPhase, BackendScanner, HEAD_BYTES, Scanned};

use super::expect::{self, Expected, Kind as Ends};
use super::identity::{Identity, Kind, Login};
use super::local;
use super::login::{Exchange, Step};

/// First OID of what users create (`FirstNormalObjectId`, `src/include/access/transam.h`): such
/// numbers differ between servers.
const FIRST_NORMAL_OID: u32 = 16_384;
/// A description of columns larger than this is not looked into.
const DESCRIPTION_MAX: usize = 1 << 20;

/// A server connection as its lane sees it.
pub struct PostgresUpstream {
    identity: Identity,
    tag: Vec<u8>,
    scanner: BackendScanner,
    exchange: Exchange,
    pid: Option<u32>,
    /// Answers to the extended messages of the head, so far.
    seen: u32,
    /// After an error among extended messages, up to the next Sync.
    skipping: bool,
    copying: Copying,
    /// A COPY began under the simple query at the head.
    copied: bool,
    /// A simple query with a COPY has just ended: a Sync sent meanwhile was part of it.
    after_copy: bool,
    /// The head's reply promised something and has said nothing else since.
    promised: bool,
    /// The part of a message that is being passed on belongs to this.
    partial: Option<Of>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copying {
    No,
    /// Under a simple query, which ends by itself.
    Simple,
    /// Under an Execute: a Sync has to come.
    Extended,
}

impl PostgresUpstream {
    pub(super) fn new(identity: Identity, tag: &str) -> Self {
        Self {
            identity,
            tag: tag.as_bytes().to_vec(),
            scanner: BackendScanner::new(),
            exchange: Exchange::default(),
            pid: None,
            seen: 0,
            skipping: false,
            copying: Copying::No,
            copied: false,
            after_copy: false,
            promised: false,
            partial: None,
        }
    }

    fn login(&self) -> Option<&Login> {
        match &self.identity.0 {
            Kind::Worker(login) | Kind::Client(login) | Kind::Reader(login) => Some(login),
            Kind::Nobody | Kind::Cancel(_) => None,
        }
    }

    /// One whole message of the opening. `None`: more has to come.
    fn opening(
        &mut self,
        tag: u8,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Opened>, Malformed> {
        let body = &message[HEAD_BYTES..];
        match tag {
            tag::AUTHENTICATION => {
                let login = match &self.identity.0 {
                    Kind::Worker(login) | Kind::Client(login) | Kind::Reader(login) => login,
                    Kind::Nobody | Kind::Cancel(_) => return Err(Malformed("authentication")),
                };
                match self.exchange.step(login, body, out) {
                    Step::Answered => Ok(None),
                    Step::Failed(words) => Ok(Some(Opened::Refused(words))),
                    Step::Admitted => {
                        let own = matches!(self.identity.0, Kind::Client(_));
                        Ok(own.then_some(Opened::Ready))
                    }
                }
            }
            tag::ERROR => Ok(Some(Opened::Refused(message.to_vec()))),
            tag::KEY_DATA => {
                self.pid = KeyData::parse(body).ok().map(|key| key.pid);
                Ok(None)
            }
            tag::READY => Ok(Some(Opened::Ready)),
            _ => Ok(None),
        }
    }

    /// Whether the server says nothing to this request.
    fn passed_over(&self, head: Expected) -> bool {
        let lone = head.kind == Ends::Sync && head.count == 0 && !head.certain;
        match head.kind {
            Ends::Run | Ends::Query if self.skipping => true,
            _ => lone && (self.after_copy || self.copying != Copying::No),
        }
    }

    /// A whole message.
    fn message(&mut self, message: &[u8], head: Option<Expected>) -> Frame {
        let type_byte = message[0];
        let body = &message[HEAD_BYTES..];
        let ends = head.map(|h| h.kind);
        let mut frame = Frame {
            len: message.len(),
            of: if head.is_some() { Of::Reply } else { Of::Notice },
            start: true,
            end: false,
            error: false,
            tail: self.promised,
            open: false,
            tells: false,
        };
        let mut answers = false;
        match type_byte {
            tag::READY => {
                let status = Transaction::parse(body).unwrap_or(Transaction::Idle);
                self.after_copy = self.copied;
                (self.copied, self.skipping, self.copying) = (false, false, Copying::No);
                frame.tail = true;
                frame.open = status != Transaction::Idle;
                frame.end = head.is_some();
                frame.tells = true;
            }
            tag::ERROR => {
                frame.error = true;
                frame.tail = false;
                frame.tells = true;
                match ends {
                    Some(Ends::Run) => {
                        self.skipping = true;
                        frame.end = true;
                    }
                    Some(Ends::Greeting) => frame.end = true,
                    // A COPY failed between what was asked.
                    None if self.copying == Copying::Extended => self.skipping = true,
                    _ => {}
                }
                if self.copying == Copying::Extended {
                    self.copying = Copying::No;
                }
                self.promised = false;
            }
            tag::COPY_IN => {
                frame.tells = true;
                frame.tail = false;
                match ends {
                    Some(Ends::Query) => {
                        (self.copying, self.copied) = (Copying::Simple, true);
                    }
                    _ => {
                        self.copying = Copying::Extended;
                        frame.end = head.is_some();
                    }
                }
            }
            tag::COMMAND_COMPLETE | tag::EMPTY_QUERY => {
                self.promised = true;
                frame.tail = true;
                // The end of a COPY answers an Execute of an earlier request.
                match self.copying {
                    Copying::No => answers = true,
                    _ => self.copying = Copying::No,
                }
            }
            tag::PARSE_COMPLETE
            | tag::BIND_COMPLETE
            | tag::CLOSE_COMPLETE
            | tag::PORTAL_SUSPENDED
            | tag::NO_DATA => answers = true,
            tag::ROW_DESCRIPTION => {
                answers = true;
                frame.tells = has_foreign_types(body);
            }
            tag::KEY_DATA => self.pid = KeyData::parse(body).ok().map(|key| key.pid),
            tag::PARAMETER_STATUS => frame.tells = true,
            tag::NOTICE | tag::NOTIFICATION | tag::PARAMETER_DESCRIPTION => {}
            _ => {
                frame.tail = false;
                self.promised = false;
            }
        }
        if let Some(Expected { kind: Ends::Run, count, .. }) = head
            && answers
        {
            self.seen += 1;
            frame.end |= self.seen >= count;
        }
        if frame.end {
            (self.seen, self.promised) = (0, false);
            frame.tells = true;
        }
        frame
    }

    /// Part of a message that is too large to wait for.
    fn part(&mut self, type_byte: u8, len: usize, first: bool, last: bool, head: bool) -> Frame {
        let of = if head { Of::Reply } else { Of::Notice };
        let of = self.partial.unwrap_or(of);
        self.partial = (!last).then_some(of);
        let data = matches!(type_byte, tag::DATA_ROW | tags::COPY_DATA);
        if data {
            self.promised = false;
        }
        Frame {
            len,
            of,
            start: first,
            end: last && of != Of::Reply,
            error: type_byte == tag::ERROR,
            tail: self.promised,
            open: false,
            tells: false,
        }
    }
}

/// How the opening ended.
enum Opened {
    Ready,
    Refused(Vec<u8>),
}

/// Whether a type among the columns is one of this server's own.
fn has_foreign_types(body: &[u8]) -> bool {
    let columns = RowDescription::parse(body);
    columns.is_ok_and(|all| all.columns().any(|c| c.type_oid >= FIRST_NORMAL_OID))
}

impl Upstream for PostgresUpstream {
    fn greet(&mut self, out: &mut Vec<u8>) {
        if let Kind::Cancel(backend) = &self.identity.0 {
            local::put(out, |b| encode::cancel_request(b, backend.pid, &backend.key));
            return;
        }
        let Some(login) = self.login() else { return };
        let mut parameters: Vec<(&[u8], &[u8])> =
            vec![(b"user", &login.user), (b"database", &login.database)];
        parameters.extend(login.parameters.iter().map(|(n, v)| (n.as_slice(), v.as_slice())));
        let named = login.parameters.iter().any(|(name, _)| name == b"application_name");
        if !named && matches!(self.identity.0, Kind::Worker(_)) {
            parameters.push((b"application_name", &self.tag));
        }
        if matches!(self.identity.0, Kind::Reader(_)) {
            parameters.push((b"default_transaction_read_only", b"on"));
        }
        local::put(out, |b| encode::startup(b, Version::V3_0, &parameters));
    }

    fn greeting(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Greeting, Malformed> {
        let mut at = 0;
        loop {
            let scanned = self.scanner.scan(&input[at..]).map_err(|_| Malformed("opening"))?;
            let Scanned::Whole(head) = scanned else { return Ok(Greeting::More(at)) };
            let message = &input[at..at + head.len];
            self.scanner.taken(head.len);
            at += head.len;
            match self.opening(head.tag, message, out)? {
                None => {}
                Some(Opened::Ready) => {
                    if self.scanner.phase() != BackendPhase::Session {
                        return Err(Malformed("opening"));
                    }
                    return Ok(Greeting::Ready(at));
                }
                Some(Opened::Refused(words)) => return Ok(Greeting::Refused(words)),
            }
        }
    }

    fn hung_up(&mut self) -> Option<Vec<u8>> {
        // A request to cancel is answered by nothing else.
        matches!(self.identity.0, Kind::Cancel(_)).then(Vec::new)
    }

    #[inline]
    fn frame(&mut self, input: &[u8], head: Option<Expect>) -> Result<Option<Frame>, Malformed> {
        let head = head.map(expect::unpack);
        if let Some(expected) = head.filter(|_| self.scanner.between()) {
            if self.passed_over(expected) {
                return Ok(Some(EMPTY));
            }
            if expected.kind != Ends::Sync || expected.certain || expected.count > 0 {
                self.after_copy = false;
            }
        }
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.scanner.scan(rest).map_err(|_| Malformed("message of the server"))? {
                Scanned::More => break,
                Scanned::Rest { tag, bytes, done } => {
                    self.scanner.taken(bytes);
                    return Ok(Some(self.part(tag, bytes, false, done, head.is_some())));
                }
                // Rows and data say nothing: as many as there are go on together.
                Scanned::Whole(found) if is_data(found.tag) => {
                    self.scanner.taken(found.len);
                    self.promised = false;
                    at += found.len;
                }
                _ if at > 0 => break,
                Scanned::Whole(found) => {
                    self.scanner.taken(found.len);
                    return Ok(Some(self.message(&rest[..found.len], head)));
                }
                Scanned::Begun(found) => {
                    if !is_data(found.tag) && found.len <= DESCRIPTION_MAX {
                        break;
                    }
                    self.scanner.taken(rest.len());
                    return Ok(Some(self.part(found.tag, rest.len(), true, false, head.is_some())));
                }
            }
        }
        let of = if head.is_some() { Of::Reply } else { Of::Notice };
        let end = head.is_none();
        Ok((at > 0).then_some(Frame { len: at, of, end, ..EMPTY_DATA }))
    }

    fn connection(&self) -> Option<u64> {
        self.pid.map(u64::from)
    }
}

const fn is_data(type_byte: u8) -> bool {
    matches!(type_byte, tag::DATA_ROW | tags::COPY_DATA)
}

/// The reply to what is passed over.
const EMPTY: Frame = Frame {
    len: 0,
    of: Of::Reply,
    start: true,
    end: true,
    error: false,
    tail: false,
    open: true,
    tells: true,
};
const EMPTY_DATA: Frame = Frame { end: false, tells: false, open: false, ..EMPTY };
