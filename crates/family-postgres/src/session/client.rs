//! One client: what each of its messages means for its state.
//!
//! What is owed is counted here too, because some of what a client sends can only be understood
//! when nothing is: a Sync in the middle of a COPY is not a Sync. Replies are not read but for
//! the few messages that say where the session stands.

mod answers;
mod asking;
mod entering;
mod group;
mod moving;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use family::{
    After, ClientError, Expect, Next, Refused, Replied, Request, Session, SessionFacts, Settles,
};
use model::{Access, Side, Touches};
use wire_postgres::encode::{self, Severity};
use wire_postgres::session::{ParameterStatus, Transaction};
use wire_postgres::tags::backend as tag;
use wire_postgres::tags::frontend;

use super::carry::Carried;
use super::door::{Asked, Door};
use super::front::{Front, Looker};
use super::identity::Identity;
use super::registry::{Listed, Running};
use super::statement::{Does, Prepared, Statements};
use super::{Shared, local};

/// Reported settings remembered, and bytes of one.
const PARAMETERS_MAX: usize = 64;
const PARAMETER_BYTES_MAX: usize = 4096;

/// A client of an interlay.
pub struct PostgresSession {
    shared: Arc<Shared>,
    /// `None` once it is in.
    door: Option<Door>,
    /// What its startup packet asks for, until that is on its way.
    asked: Option<Box<Asked>>,
    /// What it gets before the server's words, once it is proved.
    first: Vec<u8>,
    /// Last words before it is closed, while it is at the door.
    words: Vec<u8>,
    /// Bytes of the startup packet that are still at the front.
    packet: usize,
    identity: Identity,
    reader: Identity,
    version: u32,
    user: String,
    database: String,
    application: Option<String>,
    long_keys: bool,
    looker: Looker,
    /// What the request at the front does.
    facing: Facing,
    rewritten: Vec<u8>,
    malformed: String,
    /// As of the last ReadyForQuery.
    status: Transaction,
    /// Extended messages are on their way without a Sync.
    grouped: bool,
    /// The server waits for COPY data.
    copying: bool,
    /// CopyDone or CopyFail was sent after the last request.
    data_ended: bool,
    /// The rest of a large message that was refused is dropped.
    discarding: bool,
    /// Everything up to the next Sync is dropped: something before it was refused.
    skipping: bool,
    running: Arc<Running>,
    listed: Option<Listed>,
    sent: u64,
    answered: u64,
    /// The reply that is being given has an error.
    failing: bool,
    statements: Statements,
    /// Statements that are answered here.
    local_names: HashSet<Box<[u8]>>,
    /// Names of settings that servers do not list.
    custom: Vec<String>,
    /// The unnamed statement, in case it is bound later.
    unnamed: Vec<u8>,
    /// What a new server has told of its settings.
    heard: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the client was told of the server's settings.
    parameters: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A statement may have left something behind in the server's session.
    altered: bool,
    /// The client has seen numbers of types that other servers have not.
    foreign_types: bool,
    carried: Option<Carried>,
    /// Its transaction was ended by a barrier.
    ended: Ended,
    authority: Side,
}

/// What became of a transaction that a barrier ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    /// The client has not been told.
    Untold,
    /// It was, and has to say ROLLBACK.
    Told,
}

/// The request at the front.
#[derive(Default)]
struct Facing {
    does: Option<Does>,
    prepares: Vec<Prepared>,
    closes: Vec<Box<[u8]>>,
}

impl PostgresSession {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            door: Some(Door::Packet),
            asked: None,
            first: Vec::new(),
            words: Vec::new(),
            packet: 0,
            identity: Identity::default(),
            reader: Identity::default(),
            version: 0,
            user: String::new(),
            database: String::new(),
            application: None,
            long_keys: false,
            looker: Looker::new(),
            facing: Facing::default(),
            rewritten: Vec::new(),
            malformed: String::new(),
            status: Transaction::Idle,
            grouped: false,
            copying: false,
            data_ended: false,
            discarding: false,
            skipping: false,
            running: Arc::default(),
            listed: None,
            sent: 0,
            answered: 0,
            failing: false,
            statements: Statements::default(),
            local_names: HashSet::new(),
            custom: Vec::new(),
            unnamed: Vec::new(),
            heard: BTreeMap::new(),
            parameters: BTreeMap::new(),
            altered: false,
            foreign_types: false,
            carried: None,
            ended: Ended::No,
            authority: Side::Source,
        }
    }

    fn owed(&self) -> u64 {
        self.sent - self.answered
    }

    fn count_owed(&self) {
        let owed = u32::try_from(self.owed()).unwrap_or(u32::MAX);
        self.running.owed.store(owed, Ordering::Release);
    }

    fn remember(&mut self, status: &ParameterStatus<'_>) {
        let fits = status.name.len() + status.value.len() <= PARAMETER_BYTES_MAX;
        let room = self.parameters.len() < PARAMETERS_MAX;
        if fits && (room || self.parameters.contains_key(status.name)) {
            self.parameters.insert(status.name.to_vec(), status.value.to_vec());
        }
        if status.name == b"application_name" {
            let name = String::from_utf8_lossy(status.value).into_owned();
            self.application = (!name.is_empty()).then_some(name);
            self.version += 1;
        }
    }
}

impl Session for PostgresSession {
    type Identity = Identity;

    #[inline]
    fn next(&mut self, input: &[u8]) -> Next {
        match self.door {
            None => self.speaking(input),
            Some(_) => self.entering(input),
        }
    }

    fn taken(&mut self, len: usize) {
        if self.packet > 0 {
            self.packet = self.packet.saturating_sub(len);
            return;
        }
        if let Front::Large { .. } | Front::Rest { last: false, .. } = self.looker.front() {
        } else {
            self.discarding = false;
        }
        if len > 0 {
            if let Front::DataEnd { .. } = self.looker.front() {
                (self.copying, self.data_ended) = (false, true);
            }
            self.looker.taken();
        }
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
        &self.identity
    }

    fn reader(&self) -> &Identity {
        &self.reader
    }

    fn touches(&self, request: &Request, _raw: &[u8]) -> (Touches, bool) {
        match request.access {
            Access::Read | Access::Write if self.door.is_none() => (Touches::Anything, true),
            _ => (Touches::Nothing, false),
        }
    }

    fn sent(&mut self, _request: &Request, raw: &[u8]) {
        self.sent += 1;
        self.count_owed();
        if self.door.is_some() {
            return self.knocked();
        }
        let does = self.facing.does.take().unwrap_or(Does::UNKNOWN);
        if does.state {
            self.altered = true;
            self.notice_settings(raw);
        }
        if !matches!(self.looker.front(), Front::Function { .. } | Front::Large { .. }) {
            self.notice_unnamed(raw);
        }
        match self.looker.front() {
            Front::Run { .. } | Front::Cut { .. } => self.grouped = true,
            Front::Large { tag, .. }
                if !matches!(tag, frontend::QUERY | frontend::FUNCTION_CALL) =>
            {
                self.grouped = true;
            }
            _ => self.grouped = false,
        }
        self.data_ended = false;
        for name in std::mem::take(&mut self.facing.closes) {
            self.statements.forget(&name);
        }
        self.statements.sent(self.sent, std::mem::take(&mut self.facing.prepares));
    }

    fn settles(&self, _class: u16, _head: &[u8]) -> Settles {
        Settles::Applied
    }

    fn replied(&mut self, _class: u16, reply: &[u8], out: &mut Vec<u8>) -> Replied {
        self.entered(reply, out)
    }

    fn answer(&mut self, raw: &[u8], out: &mut Vec<u8>) -> After {
        match self.door {
            Some(_) => self.at_the_door(raw, out),
            None => self.in_place_of_server(raw, out),
        }
    }

    fn refuse(&mut self, error: &ClientError, out: &mut Vec<u8>) {
        if self.door.is_some() {
            local::refused(out, Severity::Fatal, *error);
            self.door = Some(Door::Shut);
            return;
        }
        if error.why == Refused::TooLarge {
            let message = "this session has state that cannot move to another system";
            return local::fatal(out, "57P01", message, local::PINNED);
        }
        local::refused(out, Severity::Error, *error);
        match self.looker.front() {
            Front::Run { .. } | Front::Cut { .. } => self.skipping = true,
            Front::Large { tag, .. } => {
                self.discarding = true;
                match tag {
                    frontend::QUERY | frontend::FUNCTION_CALL => local::ready(out, self.status),
                    _ => self.skipping = true,
                }
            }
            _ => local::ready(out, self.status),
        }
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.door, Some(Door::Shut)) && !self.malformed.is_empty() {
            local::fatal(out, wire_postgres::error::PROTOCOL_VIOLATION, &self.malformed, "");
        }
    }

    fn told(&mut self, message: &[u8], end: bool) {
        match (message.first(), message.get(5..)) {
            (Some(&tag::READY), Some(body)) => {
                self.status = Transaction::parse(body).unwrap_or(Transaction::Idle);
                self.copying = false;
            }
            (Some(&tag::ERROR), _) => (self.failing, self.copying) = (true, false),
            (Some(&tag::COPY_IN), _) => {
                self.copying = true;
                // Under an Execute the reply ends here, and a Sync has to come.
                self.grouped |= end;
            }
            (Some(&tag::PARAMETER_STATUS), Some(body)) => {
                if let Ok(status) = ParameterStatus::parse(body) {
                    self.remember(&status);
                }
            }
            (Some(&tag::ROW_DESCRIPTION), _) => self.foreign_types = true,
            _ => {}
        }
        if end {
            self.answered = (self.answered + 1).min(self.sent);
            self.statements.answered(self.answered, std::mem::take(&mut self.failing));
            self.count_owed();
        }
    }

    fn stands(&mut self, authority: Side) {
        self.authority = authority;
    }

    fn bound(&self) -> bool {
        self.door.is_none()
            && self.ended == Ended::No
            && (self.status != Transaction::Idle || self.grouped || self.copying)
    }

    fn awaited(&self) -> bool {
        self.grouped || self.copying
    }

    fn dismissible(&self) -> bool {
        !self.bound()
    }

    fn dismissed(&mut self, out: &mut Vec<u8>) {
        local::refused(out, Severity::Fatal, Refused::Draining.into());
    }

    fn goodbye(&self, out: &mut Vec<u8>) {
        if self.encumbered() {
            local::put(out, |b| {
                encode::terminate(b);
                Ok(())
            });
        }
    }

    fn encumbered(&self) -> bool {
        self.door.is_none()
    }

    fn harvest(&self, out: &mut Vec<u8>) -> Option<Expect> {
        self.ask_for_state(out)
    }

    fn harvested(&mut self, reply: &[u8]) -> Result<(), ClientError> {
        self.take_state(reply)
    }

    fn carried(&self) -> bool {
        self.carried.is_some()
    }

    fn broken_off(&mut self, out: &mut Vec<u8>) -> Option<Expect> {
        self.break_off(out)
    }

    fn restore(&self, out: &mut Vec<u8>, expects: &mut Vec<Expect>) -> Result<(), ClientError> {
        self.put_state(out, expects)
    }

    fn moved(&mut self, replies: &[u8], out: &mut Vec<u8>) {
        self.arrived(replies, out);
    }

    fn again(&mut self, _class: u16, _raw: &[u8], _waited: Duration) -> Option<Vec<u8>> {
        None
    }

    fn gave_up(&self, _reply: &[u8]) -> bool {
        false
    }

    fn admitted(&self) -> bool {
        self.door.is_none()
    }

    fn facts(&self) -> SessionFacts {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        SessionFacts {
            user: text(&self.user),
            name: self.application.clone(),
            database: self.database.clone(),
            library: None,
            state: match (&self.door, self.status) {
                (Some(_), _) => "login",
                _ if self.copying => "copy",
                (None, Transaction::Open | Transaction::Failed) => "transaction",
                (None, Transaction::Idle) if self.grouped => "transaction",
                (None, Transaction::Idle) => "idle",
            },
        }
    }

    fn fingerprint(&self, request: &Request, raw: &[u8]) -> u64 {
        group::fingerprint(request.class, raw)
    }
}
