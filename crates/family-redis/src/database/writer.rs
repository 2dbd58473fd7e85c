//! Applying records: `RESTORE … REPLACE ABSTTL`, or removal, in one pipeline.
//!
//! A payload that the server refuses is tried by the next route (lowered version, older
//! encoding, element by element); what worked is remembered for its version and type, so that
//! the detour is taken once. A refusal that concerns the server as a whole (out of memory,
//! read-only, loading) fails the call, after all owed replies were taken: then nothing of ours
//! is still to run there.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use family::{Applied, PortError, Trouble, Writer};
use model::{Image, Key, Record};
use wire_redis::Value;

use crate::conn::{Conn, Link};
use crate::database::elements::{self, Copied};
use crate::database::reader::{by_db, parse};
use crate::error::{self, code};
use crate::image::payload::{self, Stamp, kind};
use crate::image::{self, Body, Parts, Usage, transcode};
use crate::key::KeyRef;
use crate::pairing::{Pairing, Route};

/// Bytes sent before their replies are taken.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// Commands sent before their replies are taken.
const WINDOW_COMMANDS: usize = 4096;
/// Attempts to copy a big key that changes meanwhile.
const BIG_ATTEMPTS: usize = 3;

/// A connection that applies.
pub(crate) struct RedisWriter {
    link: Arc<Link>,
    pairing: Arc<Pairing>,
    conn: Option<Conn>,
    /// To the other side, once something had to be pulled from there.
    other: Option<Conn>,
}

impl RedisWriter {
    pub(crate) async fn open(link: &Arc<Link>, pairing: &Arc<Pairing>) -> Result<Self, PortError> {
        let conn = link.connect().await?;
        Ok(Self { link: link.clone(), pairing: pairing.clone(), conn: Some(conn), other: None })
    }

    async fn take(&mut self) -> Result<Conn, PortError> {
        match self.conn.take() {
            Some(conn) if !conn.is_spent() => Ok(conn),
            _ => self.link.connect().await,
        }
    }

    /// First pass: every record by the route known for it.
    async fn pipeline(
        &self,
        conn: &mut Conn,
        refs: &[KeyRef<'_>],
        records: &[Record],
    ) -> Result<Vec<Outcome>, PortError> {
        let mut outcomes = Vec::with_capacity(records.len());
        // One entry per record of the window, with whether a reply to SELECT comes before.
        let mut window: Vec<(bool, Sent)> = Vec::new();
        let mut trouble = None;
        for (key, record) in refs.iter().zip(records) {
            let parts = parts_of(record)?;
            let sent = match parts.map(|parts| (parts, parts.body)) {
                None => {
                    let owed = conn.queue_select(key.db);
                    conn.queue(&[b"UNLINK", key.name]);
                    (owed, Sent::Removal)
                }
                Some((parts, Body::Text(text))) => {
                    let owed = conn.queue_select(key.db);
                    queue_text(conn, key.name, parts, text).await?;
                    (owed, Sent::Text)
                }
                Some((_, Body::Elements)) => (false, Sent::Nothing),
                Some((parts, Body::Dump(payload))) => {
                    let route = self.first_route(payload);
                    match by_route(payload, route) {
                        None => (false, Sent::Nothing),
                        Some(payload) => {
                            let owed = conn.queue_select(key.db);
                            queue_restore(conn, key.name, parts, &payload).await?;
                            (owed, Sent::Payload(route))
                        }
                    }
                }
            };
            window.push(sent);
            if conn.unsent() > WINDOW_BYTES || window.len() >= WINDOW_COMMANDS {
                collect(conn, &mut window, &mut outcomes, &mut trouble).await?;
            }
        }
        collect(conn, &mut window, &mut outcomes, &mut trouble).await?;
        match trouble {
            Some(error) => Err(error),
            None => Ok(outcomes),
        }
    }

    fn first_route(&self, payload: &[u8]) -> Route {
        match payload::stamp(payload) {
            Some(stamp) => self.pairing.route(self.link.side(), stamp),
            None => Route::Elements,
        }
    }

    /// The routes after the one that was refused, until one works.
    async fn detour(
        &mut self,
        conn: &mut Conn,
        key: KeyRef<'_>,
        parts: Parts<'_>,
        refused: Option<(Route, PortError)>,
    ) -> Result<Applied, PortError> {
        let payload = match parts.body {
            Body::Dump(payload) => Some(payload),
            Body::Text(_) | Body::Elements => None,
        };
        let stamp = payload.and_then(payload::stamp);
        let (mut route, mut reason) = match refused {
            Some((route, reason)) => (route.next(), Some(reason)),
            None => (Some(Route::Elements), None),
        };
        while let Some(trying) = route {
            route = trying.next();
            if trying == Route::Elements {
                return self.by_elements(conn, key, stamp, reason).await;
            }
            let Some(payload) = payload.and_then(|p| by_route(p, trying)) else { continue };
            conn.select(key.db).await?;
            queue_restore(conn, key.name, parts, &payload).await?;
            match judge(&conn.next().await?, conn)? {
                None => {
                    if let Some(stamp) = stamp {
                        self.pairing.learn(self.link.side(), stamp, trying);
                    }
                    return Ok(Applied::Done);
                }
                Some(error) => reason = Some(error),
            }
        }
        Ok(Applied::Failed(reason.unwrap_or_else(|| error::unexpected("RESTORE", conn.at()))))
    }

    async fn by_elements(
        &mut self,
        conn: &mut Conn,
        key: KeyRef<'_>,
        stamp: Option<Stamp>,
        reason: Option<PortError>,
    ) -> Result<Applied, PortError> {
        if let Some(stamp) = stamp
            && (stamp.kind > kind::STREAM_LISTPACKS_3
                || matches!(stamp.kind, kind::MODULE | kind::MODULE_2))
        {
            // Rebuilding it would lose what makes it this type (field expiries, module data).
            let why = reason.map_or_else(String::new, |e| format!(" ({})", e.message));
            return Ok(Applied::Failed(PortError::new(
                Trouble::Rejected,
                code::NO_REBUILD,
                format!("{}: encoding {} is unknown there{why}", conn.at(), stamp.kind),
            )));
        }
        let Some(other) = self.pairing.other_than(self.link.side()) else {
            return Ok(Applied::Failed(PortError::new(
                Trouble::Rejected,
                code::NO_OTHER_SIDE,
                format!("{}: a copy by elements needs both sides open", conn.at()),
            )));
        };
        let mut from = match self.other.take() {
            Some(from) if !from.is_spent() => from,
            _ => other.connect().await?,
        };
        // That a record needed this says little of others of its type: nothing is learnt.
        for _ in 0..BIG_ATTEMPTS {
            let answer = match elements::copy(&mut from, conn, key).await? {
                Copied::Moved => continue,
                Copied::Done => Applied::Done,
                Copied::Refused(error) => Applied::Failed(error),
            };
            self.other = Some(from);
            return Ok(answer);
        }
        Ok(Applied::Failed(PortError::new(
            Trouble::Unreachable,
            code::BIG_KEY_MOVED,
            format!("{}: a big key changed during each of {BIG_ATTEMPTS} copies", other.address()),
        )))
    }
}

/// What was sent for a record in the first pass.
enum Sent {
    /// Nothing: to be copied by elements.
    Nothing,
    Removal,
    /// A string's bytes.
    Text,
    Payload(Route),
}

/// What came of a record in the first pass.
enum Outcome {
    Done,
    /// This server does not take it so.
    Refused(Option<(Route, PortError)>),
    /// It does not take it at all.
    Failed(PortError),
}

#[async_trait]
impl Writer for RedisWriter {
    async fn apply(&mut self, records: &[Record]) -> Result<Vec<Applied>, PortError> {
        let keys: Vec<Key> = records.iter().map(|r| r.key.clone()).collect();
        let refs = parse(&keys)?;
        let mut conn = self.take().await?;
        let outcomes = self.pipeline(&mut conn, &refs, records).await;
        let mut applied = Vec::with_capacity(records.len());
        let done: Result<(), PortError> = async {
            for ((key, record), outcome) in refs.iter().zip(records).zip(outcomes?) {
                applied.push(match (outcome, parts_of(record)?) {
                    (Outcome::Done, _) => Applied::Done,
                    (Outcome::Failed(error), _) => Applied::Failed(error),
                    (Outcome::Refused(refused), Some(parts)) => {
                        self.detour(&mut conn, *key, parts, refused).await?
                    }
                    (Outcome::Refused(_), None) => {
                        Applied::Failed(error::unexpected("UNLINK", conn.at()))
                    }
                });
            }
            Ok(())
        }
        .await;
        if !conn.is_spent() {
            self.conn = Some(conn);
        }
        done.map(|()| applied)
    }

    async fn exists(&mut self, keys: &[Key]) -> Result<Vec<bool>, PortError> {
        let refs = parse(keys)?;
        let mut conn = self.take().await?;
        let mut found = vec![false; keys.len()];
        for (db, members) in by_db(&refs) {
            let owed = conn.queue_select(db);
            for &i in &members {
                conn.queue(&[b"EXISTS", refs[i].name]);
            }
            conn.selected(owed).await?;
            let mut failed = None;
            for i in members {
                match error::checked(conn.next().await?, "EXISTS", conn.at()) {
                    Ok(reply) => found[i] = reply.as_int() == Some(1),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                self.conn = Some(conn);
                return Err(error);
            }
        }
        self.conn = Some(conn);
        Ok(found)
    }
}

fn parts_of(record: &Record) -> Result<Option<Parts<'_>>, PortError> {
    match &record.image {
        Image::Absent => Ok(None),
        Image::Present { bytes } => image::decode(bytes).map(Some).ok_or_else(|| {
            let message = "a record image of another family";
            PortError::new(Trouble::Unsupported, code::IDENTITY, message)
        }),
    }
}

/// The payload as a route sends it; `None` where the route does not apply to it.
fn by_route(payload: &[u8], route: Route) -> Option<Cow<'_, [u8]>> {
    match route {
        Route::AsIs => Some(Cow::Borrowed(payload)),
        Route::Lowered => payload::lowered(payload).map(Cow::Owned),
        Route::Older => transcode::older(payload).map(Cow::Owned),
        Route::Elements => None,
    }
}

/// A string: by `SET`, which costs the server half of a `RESTORE`, unless there is more to it.
async fn queue_text(
    conn: &mut Conn,
    name: &[u8],
    parts: Parts<'_>,
    text: &[u8],
) -> Result<(), PortError> {
    if parts.expiry_ms >= 0 || parts.usage != Usage::Unknown {
        return queue_restore(conn, name, parts, &payload::of_text(text)).await;
    }
    conn.queue(&[b"SET", name, text]);
    Ok(())
}

async fn queue_restore(
    conn: &mut Conn,
    name: &[u8],
    parts: Parts<'_>,
    payload: &[u8],
) -> Result<(), PortError> {
    let hinted = parts.usage != Usage::Unknown;
    conn.queue_head(if hinted { 8 } else { 6 });
    conn.arg(b"RESTORE");
    conn.arg(name);
    conn.arg_int(parts.expiry_ms.max(0));
    conn.arg_large(payload).await?;
    conn.arg(b"REPLACE");
    conn.arg(b"ABSTTL");
    match parts.usage {
        Usage::Unknown => {}
        Usage::IdleSeconds(seconds) => {
            conn.arg(b"IDLETIME");
            conn.arg_int(i64::from(seconds));
        }
        Usage::Frequency(frequency) => {
            conn.arg(b"FREQ");
            conn.arg_int(i64::from(frequency));
        }
    }
    Ok(())
}

/// Takes the replies of a window. The first error that concerns the whole server is kept.
async fn collect(
    conn: &mut Conn,
    window: &mut Vec<(bool, Sent)>,
    outcomes: &mut Vec<Outcome>,
    trouble: &mut Option<PortError>,
) -> Result<(), PortError> {
    for (owed, sent) in window.drain(..) {
        conn.selected(owed).await?;
        outcomes.push(match sent {
            Sent::Nothing => Outcome::Refused(None),
            Sent::Removal | Sent::Text | Sent::Payload(_) => match judge(&conn.next().await?, conn)
            {
                Ok(None) => Outcome::Done,
                Ok(Some(error)) => match sent {
                    Sent::Payload(route) => Outcome::Refused(Some((route, error))),
                    _ => Outcome::Failed(error),
                },
                Err(error) => {
                    trouble.get_or_insert(error);
                    Outcome::Refused(None)
                }
            },
        });
    }
    Ok(())
}

/// `None` when it worked, the refusal when it concerns this record, an error when it concerns
/// the server.
fn judge(reply: &Value, conn: &Conn) -> Result<Option<PortError>, PortError> {
    let Some(text) = reply.error() else { return Ok(None) };
    let error = error::from_reply(&text, "RESTORE", conn.at());
    match error.trouble {
        Trouble::Rejected => Ok(Some(error)),
        _ => Err(error),
    }
}
