//! Counters: the final value is what was acknowledged, plus at most what is unknown; every reply
//! was given once, because every effect is visible in a reply of its own.

use std::collections::HashMap;

use redis::{Value, cmd};

use super::once;
use super::read::Reader;
use super::verdict::Verdict;
use crate::conn::Fault;
use crate::load::Ledger;
use crate::load::ledger::{Kind, Outcome, Record, Token};
use crate::load::names::Names;
use crate::value;

pub(super) fn judge(
    kind: Kind,
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new(&format!("{kind:?}: sums are what was acknowledged"));
    for ((db, key), records) in once::by_key(ledger, kind) {
        let name = names.key(kind, key);
        let held = match kind {
            Kind::HashIncr => {
                let mut c = cmd("HGET");
                c.arg(&name).arg(Names::hash_field(key));
                integer(&reader.call(db, &c)?)
            }
            Kind::FloatIncr => {
                let mut c = cmd("GET");
                c.arg(&name);
                let held = value::float(&reader.call(db, &c)?).unwrap_or(0.0);
                (held * 4.0) as i64
            }
            _ => {
                let mut c = cmd("GET");
                c.arg(&name);
                integer(&reader.call(db, &c)?)
            }
        };
        check(&format!("db{db} {name}"), &records, held, &mut verdict);
    }
    Ok(verdict)
}

fn integer(value: &Value) -> i64 {
    value::int(value).unwrap_or(0)
}

fn sum<K>(records: &[Record<K>], outcome: Outcome) -> i64 {
    records.iter().filter(|r| r.outcome == outcome).map(|r| r.amount).sum()
}

pub(crate) fn check<K>(at: &str, records: &[Record<K>], held: i64, verdict: &mut Verdict) {
    verdict.examined += records.len() as u64;
    let (acknowledged, unknown) = (sum(records, Outcome::Ok), sum(records, Outcome::Unknown));
    if held < acknowledged || held > acknowledged + unknown {
        verdict.violation(format!(
            "{at}: holds {held}, acknowledged {acknowledged}, unknown {unknown}"
        ));
    }
    let mut replies: HashMap<i64, Token> = HashMap::new();
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        if let Some(other) = replies.insert(record.result, record.token) {
            let (reply, token) = (record.result, record.token);
            verdict.violation(format!("{at}: {other} and {token} were both answered {reply}"));
        }
    }
}

/// A script's counter equals the sum of the lines it appended, each of which is a token.
pub(super) fn judge_scripts(
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("Script: both effects of every script, once");
    for ((db, key), records) in once::by_key(ledger, Kind::Script) {
        let mut c = cmd("GET");
        c.arg(names.key(Kind::Script, key));
        let held = integer(&reader.call(db, &c)?);
        let name = names.script_list(key);
        let lines = reader.list(db, &name)?;
        let at = format!("db{db} {name}");
        let tokens: Vec<_> = lines.iter().map(|l| line(l).map(|(token, _)| token)).collect();
        once::check(&at, &records, &tokens, true, &mut verdict);
        let appended: i64 = lines.iter().filter_map(|l| line(l).ok()).map(|(_, by)| by).sum();
        if held != appended {
            verdict.violation(format!("{at}: counter {held}, lines add up to {appended}"));
        }
    }
    Ok(verdict)
}

fn line(text: &[u8]) -> Result<(Token, i64), String> {
    let shown = || value::show(text);
    let text = std::str::from_utf8(text).map_err(|_| shown())?;
    let (token, by) = text.split_once(':').ok_or_else(shown)?;
    Ok((once::parse(token.as_bytes())?, by.parse().map_err(|_| shown())?))
}
