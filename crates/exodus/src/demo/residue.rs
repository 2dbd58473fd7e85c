//! What a server shows of us besides data: accounts, connections, tracking.

use anyhow::Result;
use chaos::conn::Conn;
use chaos::servers::{Server, WORKER};
use chaos::value;
use chaos::wait;
use redis::cmd;
use std::time::Duration;

use super::stage::Stage;

/// What both servers show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Residue {
    sides: Vec<Side>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Side {
    name: &'static str,
    /// Accounts with their rights: a fence that was forgotten shows here.
    accounts: Vec<String>,
    /// Connections of the worker's account besides the one that asks.
    connections: usize,
}

impl Residue {
    /// Looks at both servers as the default user, which is not ours.
    pub(super) fn of(stage: &Stage) -> Result<Self> {
        let sides = [("source", &stage.source), ("target", &stage.target)];
        let sides = sides.into_iter().map(|(name, server)| look(name, server));
        Ok(Self { sides: sides.collect::<Result<_>>()? })
    }

    /// Whether accounts are as before and none of our connections is left.
    pub(super) fn same(&self, before: &Self) -> bool {
        let gone = self.sides.iter().all(|s| s.connections == 0);
        let accounts = |r: &Self| r.sides.iter().map(|s| s.accounts.clone()).collect::<Vec<_>>();
        gone && accounts(self) == accounts(before)
    }

    /// The evidence in words.
    pub(super) fn told(&self, before: &Self) -> String {
        let mut told = Vec::new();
        for (now, then) in self.sides.iter().zip(&before.sides) {
            if now.connections > 0 {
                told.push(format!("{}: {} connections of ours", now.name, now.connections));
            }
            for account in now.accounts.iter().filter(|a| !then.accounts.contains(a)) {
                told.push(format!("{}: account changed: {account}", now.name));
            }
            for account in then.accounts.iter().filter(|a| !now.accounts.contains(a)) {
                told.push(format!("{}: account was: {account}", now.name));
            }
        }
        if told.is_empty() {
            "accounts as before, no connection".to_owned()
        } else {
            told.join("\n")
        }
    }
}

fn look(name: &'static str, server: &Server) -> Result<Side> {
    let mut conn = Conn::open(&server.address(), 0, Duration::from_secs(10))?;
    let mut acl = cmd("ACL");
    acl.arg("LIST");
    let accounts = conn.call(&acl)?;
    let accounts = value::items(&accounts)
        .iter()
        .filter_map(value::bytes)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    // A connection that was just closed may still be listed for a moment.
    let mut connections = 0;
    wait::until(Duration::from_secs(5), || {
        connections = ours(&mut conn).unwrap_or(usize::MAX);
        connections == 0
    });
    Ok(Side { name, accounts, connections })
}

fn ours(conn: &mut Conn) -> Result<usize> {
    let mut list = cmd("CLIENT");
    list.arg("LIST");
    let text = conn.call(&list)?;
    let text = String::from_utf8_lossy(value::bytes(&text).unwrap_or_default()).into_owned();
    let user = format!(" user={} ", WORKER.0);
    Ok(text.lines().filter(|line| line.contains(&user)).count())
}
