//! Taking the right to write from the application's accounts, and giving it back.
//!
//! `ACL SETUSER <user> -@write` acts on open connections at once, also inside scripts and queued
//! transactions. A record holds each account's command rules and selectors as the server prints
//! them; lifting sets exactly these again and leaves passwords, keys and channels alone. A fence
//! lives in the server's memory: one that restarts comes back unfenced, which the feed reports
//! as replaced.
//!
//! Layout of a record: the line `redis-acl/1`, then for each account a line of its name, a tab
//! and its rules.

use family::{FenceRecord, PortError, Trouble};
use wire_redis::Value;

use crate::clients;
use crate::conn::Conn;
use crate::error::{self, code};

const FORMAT: &str = "redis-acl/1";

/// The command rules of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    user: String,
    /// `+…`, `-…` and parenthesised selectors, in the server's order.
    rules: Vec<String>,
}

impl Rules {
    fn has_selectors(&self) -> bool {
        self.rules.iter().any(|r| r.starts_with('('))
    }
}

/// Reads what would have to be restored; changes nothing.
pub(crate) async fn plan(conn: &mut Conn, users: &[String]) -> Result<FenceRecord, PortError> {
    let refuse = |why: String| PortError::new(Trouble::Unsupported, code::NO_FENCE, why);
    let at = conn.at().to_owned();
    if users.is_empty() {
        return Err(refuse(format!("{at}: no account of the application is named")));
    }
    let own = conn.call(&[b"ACL", b"WHOAMI"]).await?;
    let own = own.as_str().map(str::to_owned);
    let known = known(conn).await.map_err(|e| match e.trouble {
        Trouble::Denied | Trouble::Unsupported | Trouble::Rejected => refuse(e.message),
        _ => e,
    })?;
    let mut text = String::from(FORMAT);
    for user in users {
        if own.as_deref().is_none_or(|own| own == user) {
            return Err(refuse(format!("{at}: our own account is {user}, as the application's")));
        }
        let Some(found) = known.iter().find(|k| k.user == *user) else {
            return Err(refuse(format!("{at}: there is no account {user}")));
        };
        text.push_str(&format!("\n{user}\t{}", found.rules.join(" ")));
    }
    Ok(FenceRecord(text))
}

/// Takes the right to write from every account of the record, and ends their blocking commands,
/// which were let in before.
pub(crate) async fn apply(conn: &mut Conn, record: &FenceRecord) -> Result<(), PortError> {
    let planned = parse(record)?;
    for rules in &planned {
        let mut command: Vec<&[u8]> = vec![b"ACL", b"SETUSER", rules.user.as_bytes()];
        if rules.has_selectors() {
            command.push(b"clearselectors");
        }
        command.push(b"-@write");
        conn.ask(&command).await?;
    }
    for row in clients::list(conn).await? {
        if row.is_blocked() && planned.iter().any(|rules| rules.user == row.user) {
            // Answers 0 when it was served meanwhile.
            conn.ask(&[b"CLIENT", b"UNBLOCK", row.id.to_string().as_bytes(), b"ERROR"]).await?;
        }
    }
    Ok(())
}

/// Gives the accounts of the record their rules back. An account that is gone stays gone.
pub(crate) async fn lift(conn: &mut Conn, record: &FenceRecord) -> Result<(), PortError> {
    let known = known(conn).await?;
    for rules in parse(record)? {
        let Some(now) = known.iter().find(|k| k.user == rules.user) else { continue };
        if *now == rules {
            continue;
        }
        let mut command: Vec<&[u8]> = vec![b"ACL", b"SETUSER", rules.user.as_bytes()];
        if rules.has_selectors() || now.has_selectors() {
            command.push(b"clearselectors");
        }
        command.push(b"-@all");
        command.extend(rules.rules.iter().map(|r| r.as_bytes()));
        conn.ask(&command).await?;
    }
    Ok(())
}

/// What the account `default` may not do of everything, `None` when it may do all.
pub(crate) async fn default_lacks(conn: &mut Conn) -> Result<Option<String>, PortError> {
    let reply = conn.ask(&[b"ACL", b"LIST"]).await?;
    let lines = reply.as_items().ok_or_else(|| error::unexpected("ACL LIST", conn.at()))?;
    let line = lines.iter().filter_map(Value::as_str).find(|l| l.starts_with("user default "));
    Ok(line.filter(|line| !allows_all(line)).map(str::to_owned))
}

/// Whether a line of ACL LIST gives every command on every key.
fn allows_all(line: &str) -> bool {
    let words = words(line);
    let taken = words.iter().any(|w| w.starts_with('-') && *w != "-@all");
    words.contains(&"~*") && words.contains(&"+@all") && !taken
}

/// The accounts of the server with their command rules.
async fn known(conn: &mut Conn) -> Result<Vec<Rules>, PortError> {
    let reply = conn.ask(&[b"ACL", b"LIST"]).await?;
    let lines = reply.as_items().ok_or_else(|| error::unexpected("ACL LIST", conn.at()))?;
    Ok(lines.iter().filter_map(Value::as_str).filter_map(rules_of).collect())
}

/// `user alice on #hash ~* resetchannels -@all +get (~x -@all +set)` as its command rules.
fn rules_of(line: &str) -> Option<Rules> {
    let mut words = words(line).into_iter();
    if words.next()? != "user" {
        return None;
    }
    let user = words.next()?.to_owned();
    let rules = words.filter(|w| w.starts_with(['+', '-', '('])).map(str::to_owned).collect();
    Some(Rules { user, rules })
}

/// Words apart by spaces; a parenthesis is one word.
fn words(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = match rest.starts_with('(') {
            true => rest.find(')').map_or(rest.len(), |i| i + 1),
            false => rest.find(' ').unwrap_or(rest.len()),
        };
        let (word, tail) = rest.split_at(end);
        found.push(word);
        rest = tail.trim_start();
    }
    found
}

fn parse(record: &FenceRecord) -> Result<Vec<Rules>, PortError> {
    let bad = || {
        let message = "a fence record that this version does not understand";
        PortError::new(Trouble::Unsupported, code::FENCE_RECORD, message)
    };
    let mut lines = record.0.lines();
    if lines.next() != Some(FORMAT) {
        return Err(bad());
    }
    lines
        .map(|line| {
            let (user, rules) = line.split_once('\t').ok_or_else(bad)?;
            let rules = words(rules).into_iter().map(str::to_owned).collect();
            Ok(Rules { user: user.to_owned(), rules })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_rules() {
        let rules = rules_of("user al on #ab ~* &* -@all +get +@read (~x -@all +set) (%R~y +@all)");
        let rules = rules.unwrap();
        assert_eq!(rules.user, "al");
        assert_eq!(rules.rules, ["-@all", "+get", "+@read", "(~x -@all +set)", "(%R~y +@all)"]);
        let record = FenceRecord(format!("{FORMAT}\nal\t{}", rules.rules.join(" ")));
        assert_eq!(parse(&record).unwrap(), [rules]);
    }

    #[test]
    fn accounts_that_may_do_all() {
        assert!(allows_all("user default on nopass ~* &* +@all"));
        assert!(allows_all("user default off ~* &* +@all"));
        for less in [
            "user default off resetchannels -@all",
            "user default on nopass ~* &* +@all -@write",
            "user default on nopass ~app:* &* +@all",
        ] {
            assert!(!allows_all(less), "{less}");
        }
    }

    #[test]
    fn foreign_records() {
        assert_eq!(parse(&FenceRecord("else".into())).unwrap_err().code, code::FENCE_RECORD);
        assert!(parse(&FenceRecord(format!("{FORMAT}\nno tab"))).is_err());
    }
}
