//! Collections into which every write puts its own token.

use std::collections::{BTreeMap, HashMap};

use super::read::Reader;
use super::verdict::Verdict;
use crate::conn::Fault;
use crate::load::Ledger;
use crate::load::ledger::{Kind, Outcome, Record, Token};
use crate::load::names::Names;
use crate::load::ops::append::packed_id;
use crate::value;

pub(super) fn judge(
    kind: Kind,
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let ordered = !matches!(kind, Kind::SetAdd | Kind::ZAdd);
    let order = if ordered { ", in order" } else { "" };
    let mut verdict = Verdict::new(&format!("{kind:?}: no write lost, none twice{order}"));
    for ((db, key), records) in by_key(ledger, kind) {
        let name = names.key(kind, key);
        let (tokens, notes) = tokens(kind, reader, db, &name)?;
        let at = format!("db{db} {name}");
        check(&at, &records, &tokens, ordered, &mut verdict);
        check_notes(&at, kind, &records, &notes, &mut verdict);
    }
    Ok(verdict)
}

/// The records of a kind, by database and key.
pub(super) fn by_key(ledger: &Ledger, kind: Kind) -> BTreeMap<(u8, u32), Vec<Record>> {
    let mut keys: BTreeMap<(u8, u32), Vec<Record>> = BTreeMap::new();
    for record in ledger.records.iter().filter(|r| r.kind == kind) {
        keys.entry((record.db, record.key)).or_default().push(*record);
    }
    keys
}

/// Tokens as held, and what is held beside them: a packed id or a score.
type Held = (Vec<Result<Token, String>>, HashMap<Token, i64>);

fn tokens(kind: Kind, reader: &mut Reader, db: u8, name: &str) -> Result<Held, Fault> {
    let mut notes = HashMap::new();
    let tokens = match kind {
        Kind::ListPush => reader.list(db, name)?.iter().map(|t| parse(t)).collect(),
        Kind::SetAdd => reader.set(db, name)?.iter().map(|t| parse(t)).collect(),
        Kind::Append => {
            let held = reader.string(db, name)?;
            let whole = held.strip_suffix(b";").unwrap_or(&held);
            if held.is_empty() {
                Vec::new()
            } else {
                whole.split(|b| *b == b';').map(parse).collect()
            }
        }
        Kind::ZAdd => {
            let mut tokens = Vec::new();
            for (member, score) in reader.zset(db, name)? {
                let token = parse(&member);
                if let Ok(token) = token {
                    notes.insert(token, score as i64);
                }
                tokens.push(token);
            }
            tokens
        }
        _ => {
            let mut tokens = Vec::new();
            for (id, member) in reader.stream(db, name, "token")? {
                let token = parse(&member);
                if let (Ok(token), Some(id)) = (&token, packed_id(&id)) {
                    notes.insert(*token, id);
                }
                tokens.push(token);
            }
            tokens
        }
    };
    Ok((tokens, notes))
}

pub(super) fn parse(text: &[u8]) -> Result<Token, String> {
    Token::parse(text).ok_or_else(|| value::show(text))
}

/// Acknowledged exactly once, unknown at most once, refused never, nothing else; each client's
/// acknowledged tokens in the order it wrote them.
pub(crate) fn check<K>(
    at: &str,
    records: &[Record<K>],
    held: &[Result<Token, String>],
    ordered: bool,
    verdict: &mut Verdict,
) {
    verdict.examined += records.len() as u64;
    let issued: HashMap<Token, Outcome> = records.iter().map(|r| (r.token, r.outcome)).collect();
    let mut times: HashMap<Token, u32> = HashMap::new();
    let mut last: HashMap<u16, Token> = HashMap::new();
    for token in held {
        let token = match token {
            Ok(token) => *token,
            Err(text) => {
                verdict.violation(format!("{at}: holds {text}, which no client wrote"));
                continue;
            }
        };
        *times.entry(token).or_default() += 1;
        match issued.get(&token) {
            None => verdict.violation(format!("{at}: holds {token}, which no client wrote here")),
            Some(Outcome::No) => {
                verdict.violation(format!("{at}: {token} was refused, yet is here"))
            }
            // An unknown write may arrive late: it says nothing about order.
            Some(Outcome::Unknown) => {}
            Some(Outcome::Ok) if ordered => {
                if let Some(before) = last.insert(token.client(), token)
                    && before > token
                {
                    verdict.violation(format!("{at}: {token} comes after {before}"));
                }
            }
            Some(Outcome::Ok) => {}
        }
    }
    for (token, times) in times.iter().filter(|(_, times)| **times > 1) {
        verdict.violation(format!("{at}: {token} is there {times} times"));
    }
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        if !times.contains_key(&record.token) {
            verdict.violation(format!("{at}: {} was acknowledged and is lost", record.token));
        }
    }
}

fn check_notes(
    at: &str,
    kind: Kind,
    records: &[Record],
    notes: &HashMap<Token, i64>,
    verdict: &mut Verdict,
) {
    for record in records.iter().filter(|r| r.outcome == Outcome::Ok) {
        let expected = if kind == Kind::StreamAdd { record.result } else { record.amount };
        if let Some(held) = notes.get(&record.token)
            && *held != expected
        {
            let token = record.token;
            verdict.violation(format!("{at}: {token} has id or score {held}, not {expected}"));
        }
    }
}
