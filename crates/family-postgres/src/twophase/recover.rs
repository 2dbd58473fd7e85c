//! Acting on what a recovery's machine decides, on real servers; and the sweep that repeats it.

use std::collections::BTreeSet;
use std::time::Duration;

use family::{PortError, Trouble};
use model::Side;
use tokio::time::{Instant, timeout_at};

use super::doubt::{Doubt, Gauge};
use super::drive::Pause;
use super::recovery::{Action, Event, Listed, Recovery, Report, Scope};
use super::site::{Heard, Site, Sites, hear};
use super::words::{fate, finish, finished, standing, status, widened};
use super::{Finished, Gid, Reply, SqlState, decision};
use crate::conn::{self, Conn};
use crate::error::{Error, code};
use crate::sql::{ident, literal};

/// How long decision rows are kept. Far longer than a recoverer takes from its scan to its fence.
const KEPT: Duration = Duration::from_secs(600);

/// Ends what `scope` names, on both servers. Never fails: what could not be done in `patience` is
/// in the report.
pub async fn recover(sites: &Sites, scope: Scope, patience: Duration) -> Report {
    let until = Instant::now() + patience;
    let mut hands = Recoverer { sites, scope: scope.clone(), conns: [None, None] };
    let (mut machine, mut actions) = Recovery::begin(scope);
    let mut pause = Pause::default();
    loop {
        let event = match actions.pop() {
            None => Event::Deadline,
            Some(Action::Done(report)) => return report,
            Some(action) => {
                let acted = async {
                    let event = hands.act(action).await;
                    if event.is_setback() {
                        pause.wait().await;
                    }
                    event
                };
                timeout_at(until, acted).await.unwrap_or(Event::Deadline)
            }
        };
        (machine, actions) = machine.step(event);
    }
}

/// One node's regular round: ends what dead nodes and its own given-up coordinators left, then
/// prunes old decisions.
///
/// # Errors
/// When a server cannot be asked who it is, or refuses to prune.
pub async fn sweep(
    sites: &Sites,
    run: &str,
    live: BTreeSet<String>,
    doubt: &Doubt,
    patience: Duration,
) -> Result<Report, PortError> {
    let left = doubt.left();
    let mut systems = [0; 2];
    for side in Side::ALL {
        systems[side.index()] = sites.at(*side).identity().await?.0;
    }
    let scope = Scope { run: run.to_owned(), live, left: left.clone(), systems };
    let report = recover(sites, scope, patience).await;
    if report.is_clean() {
        doubt.ended(&left);
        prune(sites, run, KEPT).await?;
    }
    Ok(report)
}

/// Removes decisions older than `age` of transactions that are prepared nowhere.
///
/// # Errors
/// When a server does not answer or refuses.
pub async fn prune(sites: &Sites, run: &str, age: Duration) -> Result<(), PortError> {
    let mut conns = Vec::new();
    let mut prepared = Vec::new();
    for side in Side::ALL {
        let mut conn = sites.at(*side).service().await?;
        prepared.extend(list(&mut conn, run).await?.into_iter().map(|one| one.name));
        conns.push(conn);
    }
    for conn in &mut conns {
        if conn.query_one(decision::THERE).await?.flag(0)? {
            conn.execute(&decision::prune(run, &prepared, age)).await?;
        }
    }
    Ok(())
}

/// How much of a run is prepared on a server, by whatever node, and how old the oldest is by the
/// server's clock: what an alarm looks at, because orphans hold locks and keep rows from vacuum.
///
/// # Errors
/// When the server does not answer.
pub async fn in_doubt(site: &Site, run: &str) -> Result<Gauge, PortError> {
    let sql = format!(
        "SELECT count(*), (extract(epoch FROM max(pg_catalog.clock_timestamp() - prepared)) \
         * 1000)::bigint FROM pg_catalog.pg_prepared_xacts \
         WHERE database = pg_catalog.current_database() AND pg_catalog.starts_with(gid, {})",
        literal(&Gid::prefix(run))
    );
    let row = site.service().await?.query_one(&sql).await?;
    let oldest = match row.opt(1)? {
        None => None,
        // A clock that was set back makes it young, not absent.
        Some(_) => Some(Duration::from_millis(row.number::<i64>(1)?.try_into().unwrap_or(0))),
    };
    Ok(Gauge { count: row.number(0)?, left: 0, oldest })
}

/// What is prepared of a run in this database, by whatever node.
async fn list(conn: &mut Conn, run: &str) -> Result<Vec<Listed>, Error> {
    let sql = format!(
        "SELECT gid, transaction::text, owner, \
         pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) \
         FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() \
         AND pg_catalog.starts_with(gid, {}) ORDER BY prepared",
        literal(&Gid::prefix(run))
    );
    let mut listed = Vec::new();
    for row in conn.query(&sql).await? {
        let xid = widened(row.number(1)?, row.number(3)?);
        let (name, owner) = (row.text(0)?.to_owned(), row.text(2)?.to_owned());
        listed.push(Listed { name, xid, owner });
    }
    Ok(listed)
}

struct Recoverer<'a> {
    sites: &'a Sites,
    scope: Scope,
    conns: [Option<Conn>; 2],
}

impl Recoverer<'_> {
    async fn act(&mut self, action: Action) -> Event {
        match action {
            Action::Kill(side) => Event::Killed(self.kill(side).await),
            Action::Scan(side) => Event::Scanned(self.scan(side).await),
            Action::Fence(side, gid) => {
                let said = self.say(side, &decision::fence(&gid)).await;
                Event::Stands(said.with(standing))
            }
            Action::Finish(side, gid, verdict, owner) => {
                Event::Finished(self.finish(side, &finish(&gid, verdict), &owner).await)
            }
            Action::Status(side, xid) => Event::Fate(self.say(side, &status(xid)).await.with(fate)),
            Action::Done(_) => Event::Deadline,
        }
    }

    async fn kill(&mut self, side: Side) -> Reply {
        let which = strangers(self.sites.at(side), &self.scope);
        let Some(conn) = self.conn(side).await else { return Reply::Lost };
        match conn::kill(conn, &which).await {
            Ok(_) => Reply::Done,
            Err(error) if error.trouble == Trouble::Denied && error.code == code::DENIED => {
                Reply::Refused(SqlState::DENIED)
            }
            Err(_) => Reply::Lost,
        }
    }

    async fn scan(&mut self, side: Side) -> Option<Vec<Listed>> {
        let run = self.scope.run.clone();
        list(self.conn(side).await?, &run).await.ok()
    }

    /// Only the owner and superusers may finish; whoever may become the owner does.
    async fn finish(&mut self, side: Side, sql: &str, owner: &str) -> Finished {
        let done = self.say(side, sql).await.with(finished);
        if done != Finished::Refused(SqlState::DENIED) {
            return done;
        }
        let became = self.say(side, &format!("SET ROLE {}", ident(owner))).await;
        match became {
            Heard::Done { .. } => {
                let done = self.say(side, sql).await.with(finished);
                // A session that stays somebody else is not used for more.
                if !matches!(self.say(side, "RESET ROLE").await, Heard::Done { .. }) {
                    self.conns[side.index()] = None;
                }
                done
            }
            Heard::Refused { .. } => done,
            Heard::Nothing => Finished::Later,
        }
    }

    async fn say(&mut self, side: Side, sql: &str) -> Heard {
        match self.conn(side).await {
            Some(conn) => hear(conn, sql).await,
            None => Heard::Nothing,
        }
    }

    async fn conn(&mut self, side: Side) -> Option<&mut Conn> {
        let slot = &mut self.conns[side.index()];
        if slot.as_ref().is_none_or(Conn::is_spent) {
            *slot = None;
            *slot = Some(self.sites.at(side).service().await.ok()?);
        }
        slot.as_mut()
    }
}

/// Sessions of nodes of this run that are not alive: by their name, and, where a client has given
/// its session another name, by the gid that they are preparing.
fn strangers(site: &Site, scope: &Scope) -> String {
    let front = site.link().family_tag();
    let mut named = format!("starts_with(application_name, {})", literal(&front));
    let words = literal(&format!("PREPARE TRANSACTION '{}", Gid::prefix(&scope.run)));
    let mut preparing = format!("state = 'active' AND starts_with(query, {words})");
    for boot in &scope.live {
        // A name is cut where it is too long, its boot as well.
        let short = site.link().boot_tag(boot);
        named.push_str(&format!(" AND NOT starts_with(application_name, {})", literal(&short)));
        preparing.push_str(&format!(" AND strpos(query, {}) = 0", literal(&format!(":{boot}:"))));
    }
    format!("({named}) OR ({preparing})")
}
