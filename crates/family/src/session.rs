//! The hot path: what a family knows about the bytes between a client and a server.
//!
//! Constraints: sans-IO and synchronous; no allocation for a small request once buffers have
//! grown; parsing is for understanding, the bytes forwarded are the bytes received. The proxy is
//! generic over [`Protocol`] (static dispatch) and knows no message of any family.
//!
//! Layout: [`Protocol`] is the factory, one per interlay; a [`Session`] is one client as the
//! family sees it; an [`Upstream`] is one connection to a server.
//!
//! How the proxy drives a client: [`Session::next`] looks at the front of the input without
//! changing what the session *means*, so the proxy may ask again after a hold. When the request
//! is on its way, [`Session::sent`] commits it. Replies are matched in order by the connection's
//! [`Upstream`]; those of requests marked [`Request::inspect`] are shown to
//! [`Session::replied`] before the client gets them.
//!
//! A client has unanswered requests on one upstream connection at a time. It changes to another
//! (its own, another database, the other side) only when nothing is owed.

mod refused;

use std::hash::Hash;
use std::sync::Arc;

use model::{Access, Side, Touches};
use thiserror::Error;

pub use refused::{ClientError, Refused};

use crate::database::{EndpointSpec, TlsMode, Verdict};
use crate::error::PortError;

/// A family's hot path. One value per interlay, shared by its threads.
pub trait Protocol: Send + Sync + Sized + 'static {
    /// What a shared upstream connection is keyed by: account, database, protocol version,
    /// whatever else decides what a server answers. Holds secrets; never printed.
    type Identity: Clone + Eq + Hash + 'static;
    /// A client's state.
    type Session: Session<Identity = Self::Identity>;
    /// A server connection's state.
    type Upstream: Upstream;

    /// Names of the kinds of requests, indexed by [`Request::class`]. For metrics and profiles.
    fn classes(&self) -> &[&'static str];
    /// A client that has just connected.
    fn session(&self) -> Self::Session;
    /// A connection about to be opened for this identity. `tag` names it on the server where
    /// its account may do that.
    fn upstream(&self, identity: &Self::Identity, tag: &str) -> Self::Upstream;
    /// The identity of our own control connection: the worker's account.
    fn worker(&self, endpoint: &EndpointSpec) -> Self::Identity;
    /// TLS settings towards a server; `None` for plain text.
    ///
    /// # Errors
    /// When certificates cannot be read.
    fn tls(&self, mode: &TlsMode) -> Result<Option<Arc<rustls::ClientConfig>>, PortError>;
    /// Protocols this family names in a TLS handshake, if it names any (ALPN).
    fn alpn(&self) -> &'static [&'static [u8]] {
        &[]
    }
    /// What the first bytes of a connection ask for before its session begins. Asked with one
    /// byte first, then with as many as it wants to see.
    fn opening(&self, input: &[u8], offer: Offer) -> Opening {
        let _ = input;
        match offer {
            Offer::Tls => Opening::Tls { answer: &[], alpn: None },
            Offer::Plain | Offer::Encrypted => Opening::Session,
        }
    }
    /// What a server is asked before TLS begins, and the one byte with which it agrees. `None`
    /// where TLS begins without a word.
    fn asks_for_tls(&self) -> Option<(&'static [u8], u8)> {
        None
    }
    /// Writes an error in the family's own format, for a client that has no session yet or whose
    /// session has been dropped. [`Session::refuse`] is for requests.
    fn error(&self, error: &ClientError, out: &mut Vec<u8>);
    /// Control requests that give a new authority what clients taught the old one through this
    /// interlay and what is no record (cached scripts). Bounded.
    fn teach(&self, found: &mut dyn FnMut(&[u8], Expect));
    /// A control request that asks a server for an offset of its log behind everything that it
    /// has acknowledged so far. `None` for a family that is not followed by its log.
    fn offset(&self, out: &mut Vec<u8>) -> Option<Expect> {
        let _ = out;
        None
    }
    /// The offset in a reply to [`Protocol::offset`]; `None` for an error.
    fn offset_of(&self, reply: &[u8]) -> Option<u64> {
        let _ = reply;
        None
    }
    /// A control request that ends the wait of the request blocked on this server connection
    /// without closing it. `None` when the family has none.
    fn unblock(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect>;
    /// A control request that ends the statement this server connection is executing, without
    /// closing it. `None` when the family has none.
    fn interrupt(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect> {
        let _ = (connection, out);
        None
    }
    /// A control request that closes this server connection, and succeeds too when it is gone
    /// already. `None` when the family has none.
    fn kill(&self, connection: u64, out: &mut Vec<u8>) -> Option<Expect>;
    /// Whether the reply to [`Protocol::kill`] says that the connection is gone, as far as the
    /// server lets us know.
    fn killed(&self, reply: &[u8]) -> bool {
        let _ = reply;
        true
    }
    /// Compares the two sides' replies to one request (whole frames).
    fn compare(&self, request: &[u8], class: u16, authority: &[u8], other: &[u8]) -> Verdict;
    /// Whether the other side's reply differs only in that it lacks what the authority's has:
    /// what this read answers where the record is not there. Asked while the other side is known
    /// to be incomplete, of a pair that [`Protocol::compare`] found different.
    fn lacks(&self, class: u16, authority: &[u8], other: &[u8]) -> bool {
        let _ = (class, authority, other);
        false
    }
    /// A short description of a reply for the sample of differences; values masked.
    fn mask(&self, reply: &[u8]) -> String;
}

/// What a listener offers a client that has just connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Plain text only.
    Plain,
    /// TLS, if it wants.
    Tls,
    /// The connection is encrypted already.
    Encrypted,
}

/// What the first bytes of a connection ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// This many bytes are needed to tell.
    More(usize),
    /// The session begins with these bytes.
    Session,
    /// These bytes are answered and done with; what comes next is looked at afresh.
    Decline(&'static [u8]),
    /// TLS begins, behind these bytes when they are answered, with them when they are not.
    Tls {
        /// The answer that the client waits for.
        answer: &'static [u8],
        /// The protocol that has to be agreed upon in the handshake.
        alpn: Option<&'static [u8]>,
    },
    /// Nothing that is spoken here: told so and closed.
    Refuse(Vec<u8>),
}

/// What the upstream connection has to know about a request to recognise its reply. Made by a
/// session, passed through by the proxy, understood by the same family's [`Upstream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect(pub u32);

/// Which upstream connection a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Any connection of the client's identity, shared with other clients.
    Shared,
    /// The client's own connection: it blocks, streams, or leaves state behind.
    Own,
    /// A connection of [`Session::candidate`]'s identity: the request asks whether the client
    /// may become it, and changes no state of a connection that already is.
    Candidate,
    /// The worker's shared connection to the authority: the session asks on its own behalf, with
    /// rewritten bytes and an inspected reply.
    Control,
}

/// One request, as understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Bytes at the front of the input that belong to it and are to be forwarded now.
    pub len: usize,
    /// More bytes of it follow as [`Next::Body`]: it is being streamed. Only with `Place::Own`.
    pub open: bool,
    /// Its kind: an index into [`Protocol::classes`].
    pub class: u16,
    /// What it may do.
    pub access: Access,
    /// Which connection it needs.
    pub place: Place,
    /// For the upstream connection.
    pub expect: Expect,
    /// The bytes to send are [`Session::rewritten`], not the client's.
    pub rewritten: bool,
    /// Its whole reply has to be shown to the session before it goes to the client. No further
    /// request of the client is looked at until then.
    pub inspect: bool,
    /// It may wait on the server for an event: to be unblocked at a barrier.
    pub blocking: bool,
    /// Its reply may be compared with the other side's.
    pub comparable: bool,
    /// A read that may be served by the secondary.
    pub follower: bool,
    /// The client does not want the reply.
    pub suppress: bool,
}

/// What is at the front of a client's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Not enough bytes to tell.
    More,
    /// Bytes without meaning (empty requests): drop them.
    Skip(usize),
    /// A request for a server.
    Request(Request),
    /// More of the request that was sent as `open`; the flag says that it is the last part.
    Body(usize, bool),
    /// A request that is answered here, by [`Session::answer`], once nothing is owed.
    Local {
        /// Its bytes.
        len: usize,
        /// Its kind.
        class: u16,
    },
    /// Not the protocol. [`Session::farewell`] has the error; close after flushing it.
    Malformed,
}

/// What to do after a local answer or an inspected reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Go on.
    Continue,
    /// Drop the client's own connection, its state is gone, then go on.
    Release,
    /// Flush and close the client.
    Close,
}

/// How an inspected reply goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replied {
    /// As it is.
    Forward(After),
    /// What was written to `out` instead.
    Replace(After),
}

/// What a reply says about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settles {
    /// It ran.
    Applied,
    /// It definitely changed nothing.
    Nothing,
}

/// Who a client is, for operators and for routing by attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// Account, if it logged in.
    pub user: Option<String>,
    /// The name it gave itself.
    pub name: Option<String>,
    /// Database it works in.
    pub database: String,
    /// Client library and version, if it said.
    pub library: Option<String>,
    /// What it is in the middle of, e.g. `idle`, `transaction`, `subscribed`.
    pub state: &'static str,
}

/// One client as its family sees it. Dropped with the client; secrets are zeroized.
pub trait Session: 'static {
    /// See [`Protocol::Identity`].
    type Identity;

    /// Looks at the front of the input. `input` starts with the first byte that has not been
    /// taken; calling again with a longer input goes on where the last call stopped.
    fn next(&mut self, input: &[u8]) -> Next;
    /// The first `len` bytes of the input were taken; `next` starts afresh behind them.
    fn taken(&mut self, len: usize);
    /// The bytes to send instead of the client's, after `next` returned a rewritten request.
    fn rewritten(&self) -> &[u8];
    /// The identity that shared connections must have.
    fn identity(&self) -> &Self::Identity;
    /// Grows whenever [`Session::identity`] or the facts change.
    fn version(&self) -> u32;
    /// The identity that a request with [`Place::Candidate`] asks for.
    fn candidate(&self) -> &Self::Identity;
    /// The identity of shared connections to the secondary that may answer this client's reads,
    /// although it has a connection of its own to the authority.
    fn reader(&self) -> &Self::Identity {
        self.identity()
    }
    /// Which records a request touches, and whether it may touch others too. Called only when
    /// somebody has to know.
    fn touches(&self, request: &Request, raw: &[u8]) -> (Touches, bool);
    /// The request is on its way.
    fn sent(&mut self, request: &Request, raw: &[u8]);
    /// Whether a write with this reply changed anything. `head` is the beginning of the reply,
    /// at least its first 64 bytes or all of it.
    fn settles(&self, class: u16, head: &[u8]) -> Settles;
    /// The whole reply to a request marked `inspect`; `out` takes a replacement.
    fn replied(&mut self, class: u16, reply: &[u8], out: &mut Vec<u8>) -> Replied;
    /// Answers a [`Next::Local`] request.
    fn answer(&mut self, raw: &[u8], out: &mut Vec<u8>) -> After;
    /// Answers a request that no side may serve now. Changes the session as the failed request
    /// would have (a refused command fails its transaction).
    fn refuse(&mut self, error: &ClientError, out: &mut Vec<u8>);
    /// The error for [`Next::Malformed`].
    fn farewell(&mut self, out: &mut Vec<u8>);
    /// A message of a reply that was marked [`Frame::tells`], before the client gets it; also one
    /// that answers nothing, on the client's own connection. `end`: the reply is complete.
    fn told(&mut self, message: &[u8], end: bool) {
        let _ = (message, end);
    }
    /// Who is the authority now. Said before a local answer.
    fn stands(&mut self, authority: Side) {
        let _ = authority;
    }
    /// In the middle of something that ends where it began: its requests are not held and go
    /// nowhere else. Only known for certain while nothing is owed.
    fn bound(&self) -> bool {
        false
    }
    /// The server waits for more of what the client began: its silence is no work in progress.
    fn awaited(&self) -> bool {
        false
    }
    /// May be closed without breaking anything off, at a moment when nothing is owed.
    fn dismissible(&self) -> bool {
        !self.encumbered()
    }
    /// Last words to a client that is closed because the interlay stops serving it.
    fn dismissed(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }
    /// Last words to the server of the client's own connection.
    fn goodbye(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
    /// A request that asks the client's own connection for the state it carries, so that the
    /// connection can be given up while nobody may write and the session go on elsewhere by
    /// [`Session::restore`]. `None` where the session itself knows all of it.
    fn harvest(&self, out: &mut Vec<u8>) -> Option<Expect> {
        let _ = out;
        None
    }
    /// The reply to [`Session::harvest`]. From here on the session is [`Session::carried`].
    ///
    /// # Errors
    /// When the connection has what cannot be carried over.
    fn harvested(&mut self, reply: &[u8]) -> Result<(), ClientError> {
        let _ = reply;
        Ok(())
    }
    /// The state is here and not on a connection.
    fn carried(&self) -> bool {
        false
    }
    /// What the client began was ended by a barrier; it has not been told yet. `out` takes what
    /// makes the connection forget it, before [`Session::harvest`].
    fn broken_off(&mut self, out: &mut Vec<u8>) -> Option<Expect> {
        let _ = out;
        None
    }
    /// Whether the client's own connection carries state that a shared one does not have.
    fn encumbered(&self) -> bool;
    /// Commands that bring a fresh own connection into this session's state. Their replies are
    /// swallowed; an error among them ends the client.
    fn restore(&self, out: &mut Vec<u8>, expects: &mut Vec<Expect>) -> Result<(), ClientError>;
    /// The client's own connection was replaced by one to another authority: what could not be
    /// carried over is remembered, what the client must be told is written to `out`. `replies`
    /// are those to [`Session::restore`].
    fn moved(&mut self, replies: &[u8], out: &mut Vec<u8>);
    /// A request that was unblocked by us, with the time it has waited already taken off its
    /// own limit. `None` when that limit has passed.
    fn again(&mut self, class: u16, raw: &[u8], waited: std::time::Duration) -> Option<Vec<u8>>;
    /// Whether this reply is what an unblocked request answers when it got nothing.
    fn gave_up(&self, reply: &[u8]) -> bool;
    /// Whether the client has said who it is, where it has to.
    fn admitted(&self) -> bool {
        true
    }
    /// Who the client is.
    fn facts(&self) -> SessionFacts;
    /// A stable number for the shape of a request (kind, arity, key pattern), for telling when
    /// no new kind of traffic is seen any more.
    fn fingerprint(&self, request: &Request, raw: &[u8]) -> u64;
}

/// The next message of a server, or the part of it that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes at the front of the input.
    pub len: usize,
    /// Whom they are for.
    pub of: Of,
    /// They are the first of their message.
    pub start: bool,
    /// They are the last of their message (for a reply: of all that answers the request).
    pub end: bool,
    /// It is an error. Known from the start on.
    pub error: bool,
    /// Part of a reply that says that changes are made, or comes after that and says nothing
    /// else. Held back where the policy wants the secondary to have them first. Only families
    /// that are followed by their log tell this.
    pub tail: bool,
    /// With `end`: what the client began is not over (a transaction is open), so that nothing
    /// was promised to it yet.
    pub open: bool,
    /// The session has to see this message, which is whole: [`Session::told`].
    pub tells: bool,
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The oldest request that is owed a reply.
    Reply,
    /// Nobody asked; it belongs to the owner of the connection.
    Notice,
    /// Nobody: the answer to something the family added.
    Nobody,
}

/// How far the opening of a connection has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Greeting {
    /// Needs more from the server. This many bytes were consumed.
    More(usize),
    /// Open. This many bytes were consumed.
    Ready(usize),
    /// The server refused; the message as it would be told to a client.
    Refused(Vec<u8>),
}

/// The server said something that the protocol does not allow. The connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed message from the server: {0}")]
pub struct Malformed(pub &'static str);

/// One connection to a server.
pub trait Upstream: 'static {
    /// The first bytes on a fresh connection.
    fn greet(&mut self, out: &mut Vec<u8>);
    /// Consumes the opening. Writes what is to be sent next to `out`.
    ///
    /// # Errors
    /// When the bytes are not the protocol.
    fn greeting(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Greeting, Malformed>;
    /// The server closed the connection before it was open: what it means by that, if anything.
    fn hung_up(&mut self) -> Option<Vec<u8>> {
        None
    }
    /// What is at the front of the input; `None` when that cannot be told yet. A message larger
    /// than the input is returned in parts. `head` is what the oldest unanswered request expects.
    ///
    /// # Errors
    /// When the bytes are not the protocol.
    fn frame(&mut self, input: &[u8], head: Option<Expect>) -> Result<Option<Frame>, Malformed>;
    /// The server's own number for this connection, if it told us.
    fn connection(&self) -> Option<u64>;
}
