//! Jobs: every pushed job is taken once or still there.

use std::collections::{HashMap, HashSet};

use redis::cmd;

use super::once;
use super::read::Reader;
use super::verdict::Verdict;
use crate::conn::Fault;
use crate::load::Ledger;
use crate::load::ledger::{Kind, Outcome, Record, Token};
use crate::load::names::{GROUP, Names, POPPED_QUEUES};
use crate::value;

fn pushes(ledger: &Ledger, wanted: impl Fn(&Record) -> bool) -> Vec<Record> {
    let jobs = ledger.records.iter().filter(|r| r.kind == Kind::JobPush);
    jobs.filter(|r| wanted(r)).copied().collect()
}

fn taken(ledger: &Ledger, kind: Kind) -> Vec<Record> {
    ledger.records.iter().filter(|r| r.kind == kind).copied().collect()
}

/// Jobs of the popped queues.
pub(super) fn judge_popped(
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("JobPop: every job popped once or still queued");
    let pushed = pushes(ledger, |r| r.other == 0 && r.key < POPPED_QUEUES);
    if pushed.is_empty() {
        return Ok(verdict);
    }
    let mut remaining = Vec::new();
    for queue in 0..POPPED_QUEUES {
        let list = reader.list(0, &names.key(Kind::JobPop, queue))?;
        remaining.extend(list.iter().map(|t| once::parse(t)));
    }
    check_popped(&pushed, &taken(ledger, Kind::JobPop), &remaining, &mut verdict);
    Ok(verdict)
}

/// A pop of unknown outcome may have taken one job that nobody can name.
pub(super) fn check_popped(
    pushed: &[Record],
    pops: &[Record],
    remaining: &[Result<Token, String>],
    verdict: &mut Verdict,
) {
    let mut places: Vec<Result<Token, String>> = remaining.to_vec();
    places.extend(pops.iter().filter(|r| r.outcome == Outcome::Ok).map(|r| Ok(r.token)));
    let nameless = pops.iter().filter(|r| r.outcome == Outcome::Unknown).count();
    let there: HashSet<Token> = places.iter().filter_map(|t| t.clone().ok()).collect();
    let lost: Vec<Token> = pushed
        .iter()
        .filter(|r| r.outcome == Outcome::Ok && !there.contains(&r.token))
        .map(|r| r.token)
        .collect();
    if lost.len() > nameless {
        verdict.violation(format!(
            "{} jobs are lost ({:?}), but only {nameless} pops are unknown",
            lost.len(),
            lost.iter().take(3).map(ToString::to_string).collect::<Vec<_>>()
        ));
    }
    // What an unknown pop may have taken is accounted for; the rest must be there once.
    let lost: HashSet<Token> = lost.into_iter().collect();
    let accountable: Vec<Record> =
        pushed.iter().filter(|r| !lost.contains(&r.token)).copied().collect();
    once::check("jobs", &accountable, &places, false, verdict);
}

/// Jobs that are moved, so that none can vanish even when an outcome is unknown.
pub(super) fn judge_moved(
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("JobMove: every job queued or done, never both");
    let pushed = pushes(ledger, |r| r.other == 0 && r.key == POPPED_QUEUES);
    if pushed.is_empty() {
        return Ok(verdict);
    }
    let parse = |list: Vec<Vec<u8>>| list.iter().map(|t| once::parse(t)).collect::<Vec<_>>();
    let queued = parse(reader.list(0, &names.key(Kind::JobMove, POPPED_QUEUES))?);
    let done = parse(reader.list(0, &names.jobs_done())?);
    check_moved(&pushed, &taken(ledger, Kind::JobMove), &queued, &done, &mut verdict);
    Ok(verdict)
}

pub(crate) fn check_moved<K>(
    pushed: &[Record<K>],
    moves: &[Record<K>],
    queued: &[Result<Token, String>],
    done: &[Result<Token, String>],
    verdict: &mut Verdict,
) {
    let places: Vec<_> = queued.iter().chain(done).cloned().collect();
    once::check("moved jobs", pushed, &places, false, verdict);
    let done: HashSet<Token> = done.iter().filter_map(|t| t.clone().ok()).collect();
    for moved in moves.iter().filter(|r| r.outcome == Outcome::Ok) {
        if !done.contains(&moved.token) {
            verdict.violation(format!("job {} was moved and is not done", moved.token));
        }
    }
}

/// Jobs in a stream read by a group: delivered once, or pending, or not yet delivered.
pub(super) fn judge_group(
    ledger: &Ledger,
    names: &Names,
    reader: &mut Reader,
) -> Result<Verdict, Fault> {
    let mut verdict = Verdict::new("GroupRead: every entry delivered once or still pending");
    let pushed = pushes(ledger, |r| r.other == 1);
    if pushed.is_empty() {
        return Ok(verdict);
    }
    let stream = names.key(Kind::GroupRead, 0);
    let entries = reader.stream(0, &stream, "job")?;
    let mut groups = cmd("XINFO");
    groups.arg("GROUPS").arg(&stream);
    let groups = reader.call(0, &groups)?;
    let group = value::items(&groups)
        .iter()
        .find(|g| value::field(g, "name").and_then(value::bytes) == Some(GROUP.as_bytes()));
    let delivered_to = group
        .and_then(|g| value::field(g, "last-delivered-id"))
        .and_then(value::bytes)
        .and_then(id)
        .unwrap_or((0, 0));
    let mut pending = cmd("XPENDING");
    pending.arg(&stream).arg(GROUP).arg("-").arg("+").arg(1_000_000);
    let pending = match group {
        Some(_) => reader.call(0, &pending)?,
        None => redis::Value::Nil,
    };
    let pending: HashSet<Vec<u8>> = value::items(&pending)
        .iter()
        .filter_map(|entry| value::bytes(value::items(entry).first()?).map(<[u8]>::to_vec))
        .collect();
    let entries: Vec<Entry> = entries
        .into_iter()
        .map(|(entry, job)| Entry {
            owed: pending.contains(&entry) || id(&entry).is_some_and(|id| id > delivered_to),
            job: once::parse(&job),
        })
        .collect();
    check_group(&pushed, &taken(ledger, Kind::GroupRead), &entries, &mut verdict);
    Ok(verdict)
}

/// A stream entry as the group sees it.
pub(super) struct Entry {
    pub(super) job: Result<Token, String>,
    /// Pending for a consumer, or not yet delivered to any.
    pub(super) owed: bool,
}

pub(super) fn check_group(
    pushed: &[Record],
    reads: &[Record],
    entries: &[Entry],
    verdict: &mut Verdict,
) {
    let jobs: Vec<_> = entries.iter().map(|e| e.job.clone()).collect();
    once::check("stream of jobs", pushed, &jobs, true, verdict);
    let mut times: HashMap<Token, u32> = HashMap::new();
    for read in reads.iter().filter(|r| r.outcome == Outcome::Ok) {
        *times.entry(read.token).or_default() += 1;
    }
    for (job, times) in times.iter().filter(|(_, times)| **times > 1) {
        verdict.violation(format!("entry {job} was delivered as new {times} times"));
    }
    for entry in entries.iter().filter(|e| !e.owed) {
        if let Ok(job) = &entry.job
            && !times.contains_key(job)
        {
            verdict.violation(format!("entry {job} counts as delivered, no consumer has it"));
        }
    }
}

fn id(text: &[u8]) -> Option<(u64, u64)> {
    let (ms, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}
