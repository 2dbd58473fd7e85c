//! How long a request may wait on the server, and the same request with less time.

use std::time::Duration;

use bytes::BytesMut;
use wire_redis::{Arguments, encode};

use super::Blocks;

/// The limit of a waiting request. Outer `None`: it does not wait (or the server will refuse
/// its argument). Inner `None`: without end.
pub(crate) fn limit(blocks: Blocks, raw: &[u8]) -> Option<Option<Duration>> {
    let at = position(blocks, raw)?;
    let text = std::str::from_utf8(Arguments::new(raw).nth(at)?).ok()?;
    let limit = match blocks {
        Blocks::LastSeconds | Blocks::FirstSeconds => {
            Duration::try_from_secs_f64(text.parse().ok()?).ok()?
        }
        _ => Duration::from_millis(text.parse().ok()?),
    };
    Some((!limit.is_zero()).then_some(limit))
}

fn position(blocks: Blocks, raw: &[u8]) -> Option<usize> {
    let count = Arguments::new(raw).announced();
    match blocks {
        Blocks::Never => None,
        Blocks::LastSeconds | Blocks::LastMillis => count.checked_sub(1).filter(|at| *at > 0),
        Blocks::FirstSeconds => (count > 1).then_some(1),
        Blocks::BlockOption => {
            let mut args = Arguments::new(raw).take_while(|a| !a.eq_ignore_ascii_case(b"STREAMS"));
            Some(args.position(|a| a.eq_ignore_ascii_case(b"BLOCK"))? + 1)
        }
    }
}

/// The request with `left` as its limit. `None` when it has none.
pub(crate) fn with_limit(blocks: Blocks, raw: &[u8], left: Duration) -> Option<Vec<u8>> {
    let at = position(blocks, raw)?;
    let args = Arguments::new(raw);
    let mut out = BytesMut::with_capacity(raw.len() + 16);
    encode::head(&mut out, args.announced());
    let text = match blocks {
        Blocks::LastSeconds | Blocks::FirstSeconds => {
            format!("{:.3}", left.as_secs_f64().max(0.001))
        }
        _ => left.as_millis().max(1).to_string(),
    };
    for (index, argument) in args.enumerate() {
        encode::bulk(&mut out, if index == at { text.as_bytes() } else { argument });
    }
    Some(out.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(line: &str) -> Vec<u8> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = BytesMut::new();
        encode::command(&mut out, &args);
        out.to_vec()
    }

    #[test]
    fn limits_and_what_is_left_of_them() {
        let check = |blocks, line: &str, expect: Option<Option<u64>>, shorter: Option<&str>| {
            let got = limit(blocks, &raw(line)).map(|l| l.map(|l| l.as_millis() as u64));
            assert_eq!(got, expect, "{line}");
            let got = with_limit(blocks, &raw(line), Duration::from_millis(1500));
            assert_eq!(got, shorter.map(raw), "{line}");
        };
        check(Blocks::LastSeconds, "BLPOP a 2.5", Some(Some(2500)), Some("BLPOP a 1.500"));
        check(Blocks::LastSeconds, "BLPOP a 0", Some(None), Some("BLPOP a 1.500"));
        check(
            Blocks::FirstSeconds,
            "BLMPOP 1 1 a LEFT",
            Some(Some(1000)),
            Some("BLMPOP 1.500 1 a LEFT"),
        );
        let (long, short) = ("XREAD BLOCK 20 STREAMS a $", "XREAD BLOCK 1500 STREAMS a $");
        check(Blocks::BlockOption, long, Some(Some(20)), Some(short));
        check(Blocks::BlockOption, "XREAD STREAMS BLOCK 0", None, None);
        check(Blocks::LastSeconds, "BLPOP a x", None, Some("BLPOP a 1.500"));
        check(Blocks::LastSeconds, "BLPOP a -1", None, Some("BLPOP a 1.500"));
    }
}
