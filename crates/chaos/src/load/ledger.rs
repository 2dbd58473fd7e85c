//! What the clients were told: one record per write, kept until the checkers have judged it.
//!
//! A record costs about 40 bytes, so a run of a million writes fits in memory; the load bounds
//! itself by its rate and duration.

use std::fmt;

/// A write's identity, unique in a run: the client in the upper bits, its sequence below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    const SEQUENCE_BITS: u32 = 40;

    /// The token of a client's write number `sequence`.
    #[must_use]
    pub const fn new(client: u16, sequence: u64) -> Self {
        Self(((client as u64) << Self::SEQUENCE_BITS) | sequence)
    }

    /// Who wrote it.
    #[must_use]
    pub const fn client(self) -> u16 {
        (self.0 >> Self::SEQUENCE_BITS) as u16
    }

    /// Reads the sixteen hexadecimal digits written by `Display`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok().map(Self)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a client knows about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Ok,
    /// Definite error, or never sent: must never be applied.
    No,
    /// The connection broke or timed out: applied once or never.
    Unknown,
}

/// Which workload a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// RPUSH of the token.
    ListPush,
    /// `XADD *` of the token; `result` is the id as milliseconds·2²⁰ + sequence.
    StreamAdd,
    /// SADD of the token.
    SetAdd,
    /// ZADD of the token with score `amount`.
    ZAdd,
    /// APPEND of the token and a semicolon.
    Append,
    /// INCR; `result` is the reply.
    Incr,
    /// HINCRBY by `amount`; `result` is the reply.
    HashIncr,
    /// INCRBYFLOAT by a quarter; `result` is the reply in quarters.
    FloatIncr,
    /// `amount` from account `key` to account `other`, and a line in the bank's log.
    Transfer,
    /// Script: counter `key` plus `amount`, and a line in its list; `result` is the reply.
    Script,
    /// RPUSH of a job.
    JobPush,
    /// BLPOP or BRPOP of a job; an unknown outcome may have taken one that is not named.
    JobPop,
    /// BLMOVE of a job to the list of finished ones.
    JobMove,
    /// XREADGROUP of an entry by its token; unknown as for [`Kind::JobPop`].
    GroupRead,
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<K = Kind> {
    /// The workload.
    pub kind: K,
    /// The database.
    pub db: u8,
    /// The workload's key number.
    pub key: u32,
    /// For transfers, the receiving account.
    pub other: u32,
    /// Its identity.
    pub token: Token,
    /// By how much, in the workload's unit.
    pub amount: i64,
    /// What the reply said, if acknowledged.
    pub result: i64,
    /// What the client was told.
    pub outcome: Outcome,
}

/// A state a single-writer key may be in at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It does not exist.
    Absent,
    /// It holds this.
    Value(Vec<u8>),
    /// It holds this until a moment between the two (Unix milliseconds), then it is absent.
    Expiring {
        /// What it holds.
        value: Vec<u8>,
        /// Earliest and latest moment at which it may vanish.
        between_ms: (i64, i64),
    },
}

/// What a key written by one client only may hold at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The database.
    pub db: u8,
    /// The key.
    pub key: String,
    /// For a part of a string: where it begins. Absent then reads as zero bytes.
    pub offset: Option<u64>,
    /// The possible states; more than one only after an unknown outcome.
    pub allowed: Vec<State>,
}

/// Everything the clients were told.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Prefix of every key of the load.
    pub prefix: String,
    /// All writes, each client's in its order.
    pub records: Vec<Record>,
    /// What single-writer keys may hold.
    pub expectations: Vec<Expectation>,
    /// What a client saw that it never may: a read that went backwards, a reply that shows an
    /// effect twice, a torn transaction, an early expiry. At most a thousand are kept.
    pub session_violations: Vec<String>,
    /// Number of such observations.
    pub session_violations_seen: u64,
    /// The databases the clients used.
    pub databases: Vec<u8>,
}

impl Ledger {
    /// Number of records with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.records.iter().filter(|r| r.outcome == outcome).count() as u64
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.records.extend(other.records);
        self.expectations.extend(other.expectations);
        self.session_violations.extend(other.session_violations);
        self.session_violations_seen += other.session_violations_seen;
    }

    pub(super) fn violation(&mut self, what: String) {
        self.session_violations_seen += 1;
        if self.session_violations.len() < VIOLATIONS_MAX {
            self.session_violations.push(what);
        }
    }
}

const VIOLATIONS_MAX: usize = 100;
