//! What is not yet on the other side: records that wait, or bytes of log.

use api::{LogKept, QueueStatus};

use crate::term::Paint;
use crate::text::{bytes, clean, count, millis};

/// Of the log a server keeps for us before it gives up on us, the part in percent that is worth
/// a colour.
const WORTH_SAYING: u64 = 50;
/// The part above which it is urgent.
const URGENT: u64 = 70;

pub(super) fn words(paint: Paint, q: &QueueStatus) -> Vec<String> {
    let mut out = Vec::new();
    match &q.log {
        Some(log) if log.behind_bytes == 0 => out.push("log applied".to_owned()),
        Some(log) => out.push(format!("{} of log not applied", bytes(log.behind_bytes))),
        None => out.push(format!("queue {}", count(q.depth))),
    }
    if q.depth > 0 {
        out.push(format!("oldest {}", millis(q.oldest_ms)));
    }
    if q.bulk > 0 {
        out.push(format!("{} of it from the scan", count(q.bulk)));
    }
    let parked = format!("{} parked", count(q.parked));
    out.push(if q.parked > 0 { paint.warn(&parked) } else { parked });
    out.extend(q.log.iter().flat_map(|log| &log.kept).filter_map(|kept| keeps(paint, kept)));
    out
}

/// How much log a side keeps for us, where that is a part of its limit worth knowing.
fn keeps(paint: Paint, kept: &LogKept) -> Option<String> {
    let limit = kept.limit.filter(|limit| *limit > 0)?;
    let percent = kept.bytes.saturating_mul(100) / limit;
    let text = format!(
        "{} keeps {} of log for us, {percent} % of its limit",
        clean(&kept.side),
        bytes(kept.bytes)
    );
    match percent {
        0..WORTH_SAYING => None,
        WORTH_SAYING..URGENT => Some(paint.warn(&text)),
        _ => Some(paint.bad(&text)),
    }
}
