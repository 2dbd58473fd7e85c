//! The two servers as coordinators and recoverers reach them.

use std::sync::Arc;

use async_trait::async_trait;
use family::{EndpointSpec, PortError};
use model::Side;

use super::words::Said;
use super::{SqlState, decision};
use crate::conn::{Abandoned, Conn, Link, Purpose};
use crate::error::Error;

/// Names the connections that end transactions.
const SERVICE: Purpose = Purpose::of("twophase");
/// Names the connections that hold a transaction's open part.
const LEG: Purpose = Purpose::of("leg").with_lock_timeout(None);

/// One server, with the account that finishes transactions there. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    link: Arc<Link>,
    abandoned: Arc<Abandoned>,
}

/// Both servers, by [`Side::index`].
#[derive(Clone)]
pub struct Sites(pub [Site; 2]);

impl Site {
    /// Prepares the way; connects to nothing.
    ///
    /// # Errors
    /// When the endpoint cannot be one.
    pub fn new(spec: &EndpointSpec) -> Result<Self, PortError> {
        let abandoned = Arc::default();
        Ok(Self { link: Link::new(spec, Arc::clone(&abandoned))?, abandoned })
    }

    /// The same server through another account. What either gives up, the other buries.
    ///
    /// # Errors
    /// When the endpoint cannot be one.
    pub fn account(&self, spec: &EndpointSpec) -> Result<Self, PortError> {
        let abandoned = Arc::clone(&self.abandoned);
        Ok(Self { link: Link::new(spec, Arc::clone(&abandoned))?, abandoned })
    }

    /// Makes the decision table where it is missing, and lets `roles` decide.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create(&self, roles: &[String]) -> Result<(), PortError> {
        let mut conn = self.service().await?;
        if !conn.query_one(decision::THERE).await?.flag(0)?
            && let Err(failed) = conn.execute(&decision::create()).await
        {
            conn.execute("ROLLBACK").await?;
            return Err(failed.into());
        }
        for role in roles {
            conn.execute(&decision::grant(role)).await?;
        }
        Ok(())
    }

    /// `system_identifier`, and `max_prepared_transactions`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn identity(&self) -> Result<(u64, usize), PortError> {
        let asked = "SELECT system_identifier, \
            pg_catalog.current_setting('max_prepared_transactions') \
            FROM pg_catalog.pg_control_system()";
        let row = self.service().await?.query_one(asked).await?;
        Ok((row.number(0)?, row.number(1)?))
    }

    /// A connection whose commits are durable. What was given up here before is gone then.
    pub(super) async fn service(&self) -> Result<Conn, PortError> {
        let mut conn = self.link.connect(SERVICE).await?;
        conn.execute(decision::DURABLE).await?;
        Ok(conn)
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

impl Sites {
    /// The server of a side.
    #[must_use]
    pub fn at(&self, side: Side) -> &Site {
        &self.0[side.index()]
    }
}

/// What a server answered, for keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Success.
    Done {
        /// The tag of the last command.
        tag: String,
        /// Values of the last row.
        row: Vec<Option<String>>,
    },
    /// An error of the server.
    Refused {
        /// Its code.
        state: SqlState,
        /// The session ended with it.
        fatal: bool,
    },
    /// No answer.
    Nothing,
}

impl Heard {
    /// For the pure machines.
    pub fn with<T>(&self, hear: impl FnOnce(Said<'_>) -> T) -> T {
        match self {
            Self::Done { tag, row } => {
                let row: Vec<_> = row.iter().map(Option::as_deref).collect();
                hear(Said::Done { tag, row: &row })
            }
            Self::Refused { state, fatal } => hear(Said::Refused { state: *state, fatal: *fatal }),
            Self::Nothing => hear(Said::Nothing),
        }
    }
}

/// A session that holds one side's open part of a transaction: the client's own, or a leg of ours.
#[async_trait]
pub trait Session: Send {
    /// Says a statement and takes the whole answer. After [`Heard::Nothing`] the session is
    /// dropped, and whoever it belongs to sees to it that the server's side of it is killed.
    async fn say(&mut self, sql: &str) -> Heard;
}

/// A leg of ours.
pub struct Leg(Conn);

impl Leg {
    /// Opens a session and a transaction in it, and does `sql`.
    ///
    /// # Errors
    /// When the server refuses any of it.
    pub async fn begin(site: &Site, sql: &str) -> Result<Self, PortError> {
        let mut conn = site.link.connect(LEG).await?;
        conn.execute("BEGIN").await?;
        let mut leg = Self(conn);
        leg.run(sql).await?;
        Ok(leg)
    }

    /// Does more in the transaction.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn run(&mut self, sql: &str) -> Result<(), PortError> {
        self.0.execute(sql).await?;
        Ok(())
    }

    /// The transaction's id as a 64 bit number; makes it have one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn xid(&mut self) -> Result<u64, PortError> {
        self.0.query_one("SELECT pg_catalog.txid_current()").await?.number(0)
    }
}

#[async_trait]
impl Session for Leg {
    async fn say(&mut self, sql: &str) -> Heard {
        hear(&mut self.0, sql).await
    }
}

/// Says a statement on a connection.
pub(super) async fn hear(conn: &mut Conn, sql: &str) -> Heard {
    match conn.ask(sql).await {
        Ok(answer) => {
            let last = answer.rows.last();
            let text = |v: &Option<bytes::Bytes>| {
                v.as_ref().map(|v| String::from_utf8_lossy(v).into_owned())
            };
            let row = last.map_or(Vec::new(), |row| row.values().iter().map(text).collect());
            Heard::Done { tag: answer.tag, row }
        }
        Err(Error::Server(error)) => {
            Heard::Refused { state: SqlState::read(&error.sqlstate), fatal: error.fatal }
        }
        Err(Error::Port(_)) => Heard::Nothing,
    }
}
