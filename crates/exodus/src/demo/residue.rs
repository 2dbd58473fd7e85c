//! What a server shows of us besides data: accounts, connections, tracking.

use anyhow::Result;
use chaos::conn::Conn;
use chaos::servers::{Server, WORKER};
use chaos::value;
use chaos::wait;
use redis::cmd;
use std::time::Duration;

use super::stage::Stage;

/// Accounts of both servers with their rights: a fence that was forgotten shows here. While the
/// node runs its connections are no residue, so the beginning is accounts alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accounts([Vec<String>; 2]);

/// What both servers show once the node has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Residue {
    accounts: Accounts,
    /// Connections of the worker's account.
    connections: [usize; 2],
}

const SIDES: [&str; 2] = ["source", "target"];

impl Accounts {
    /// Looks at both servers as the default user, which is not ours.
    pub(super) fn of(stage: &Stage) -> Result<Self> {
        let [source, target] = servers(stage).map(|server| accounts(&mut open(server)?));
        Ok(Self([source?, target?]))
    }
}

impl Residue {
    /// Looks at both servers, giving connections that were just closed a moment to be gone.
    pub(super) fn of(stage: &Stage) -> Result<Self> {
        let [source, target] = servers(stage).map(|server| connections(&mut open(server)?));
        Ok(Self { accounts: Accounts::of(stage)?, connections: [source?, target?] })
    }

    /// Whether accounts are as before and none of our connections is left.
    pub(super) fn same(&self, before: &Accounts) -> bool {
        self.connections == [0, 0] && self.accounts == *before
    }

    /// The evidence in words.
    pub(super) fn told(&self, before: &Accounts) -> String {
        let mut told = Vec::new();
        for (index, name) in SIDES.iter().enumerate() {
            let (now, then) = (&self.accounts.0[index], &before.0[index]);
            if self.connections[index] > 0 {
                told.push(format!("{name}: {} connections of ours", self.connections[index]));
            }
            for account in now.iter().filter(|a| !then.contains(a)) {
                told.push(format!("{name}: account changed: {account}"));
            }
            for account in then.iter().filter(|a| !now.contains(a)) {
                told.push(format!("{name}: account was: {account}"));
            }
        }
        if told.is_empty() {
            "accounts as before, no connection".to_owned()
        } else {
            told.join("\n")
        }
    }
}

fn servers(stage: &Stage) -> [&Server; 2] {
    [&stage.source, &stage.target]
}

fn open(server: &Server) -> Result<Conn> {
    Ok(Conn::open(&server.address(), 0, Duration::from_secs(10))?)
}

fn accounts(conn: &mut Conn) -> Result<Vec<String>> {
    let mut acl = cmd("ACL");
    acl.arg("LIST");
    let accounts = conn.call(&acl)?;
    let lines = value::items(&accounts).iter().filter_map(value::bytes);
    Ok(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
}

fn connections(conn: &mut Conn) -> Result<usize> {
    let mut connections = 0;
    wait::until(Duration::from_secs(5), || {
        connections = ours(conn).unwrap_or(usize::MAX);
        connections == 0
    });
    Ok(connections)
}

fn ours(conn: &mut Conn) -> Result<usize> {
    let mut list = cmd("CLIENT");
    list.arg("LIST");
    let text = conn.call(&list)?;
    let text = String::from_utf8_lossy(value::bytes(&text).unwrap_or_default()).into_owned();
    let user = format!(" user={} ", WORKER.0);
    Ok(text.lines().filter(|line| line.contains(&user)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_by_side() {
        let before = Accounts([vec!["a on".to_owned()], vec!["b on".to_owned()]]);
        let clean = Residue { accounts: before.clone(), connections: [0, 0] };
        assert!(clean.same(&before));
        assert_eq!(clean.told(&before), "accounts as before, no connection");
        let accounts = Accounts([vec!["a off".to_owned()], vec!["b on".to_owned()]]);
        let left = Residue { accounts, connections: [0, 2] };
        assert!(!left.same(&before));
        assert_eq!(
            left.told(&before),
            "source: account changed: a off\nsource: account was: a on\n\
             target: 2 connections of ours"
        );
    }
}
