//! The keys that one request names.

use wire_redis::Arguments;

use super::{Command, Keys};

/// Calls `found` with the database (other than the client's, where it names one) and name of
/// each key. Returns whether the arguments could be understood; a request that could not is
/// either refused by the server or touches who knows what.
pub(crate) fn for_each_key<'a>(
    command: &Command,
    raw: &'a [u8],
    mut found: impl FnMut(Option<u16>, &'a [u8]),
) -> bool {
    let mut args = Arguments::new(raw);
    let count = args.announced();
    let mut one = |key| found(None, key);
    match command.keys {
        Keys::Nowhere => true,
        Keys::Range(first, last, step) => {
            let Some((first, last)) = bounds(first, last, count) else { return false };
            let step = usize::from(step.max(1));
            args.skip(first).take(last - first + 1).step_by(step).for_each(one);
            true
        }
        Keys::Counted(at) => counted(&mut args, at, one).is_some(),
        Keys::FirstAndCounted(at) => {
            let destination = args.clone().nth(1);
            match destination {
                Some(key) => one(key),
                None => return false,
            }
            counted(&mut args, at, one).is_some()
        }
        Keys::Streams => {
            let mut rest = args.skip_while(|a| !a.eq_ignore_ascii_case(b"STREAMS"));
            rest.next();
            let names: Vec<&[u8]> = rest.collect();
            names.iter().take(names.len() / 2).for_each(|k| one(k));
            !names.is_empty() && names.len().is_multiple_of(2)
        }
        Keys::Store => {
            let Some(key) = args.nth(1) else { return false };
            one(key);
            destinations(args, one);
            true
        }
        Keys::Migrate => {
            match args.nth(3) {
                Some(key) if !key.is_empty() => one(key),
                _ => {
                    let rest = args.skip_while(|a| !a.eq_ignore_ascii_case(b"KEYS"));
                    rest.skip(1).for_each(one);
                }
            }
            true
        }
        Keys::Copy => {
            let (Some(from), Some(to)) = (args.nth(1), args.next()) else { return false };
            let db = args.skip_while(|a| !a.eq_ignore_ascii_case(b"DB")).nth(1);
            found(None, from);
            match db.map(number) {
                None => found(None, to),
                Some(Some(db)) => found(Some(db), to),
                Some(None) => return false,
            }
            true
        }
        Keys::Move => {
            let (Some(key), Some(db)) = (args.nth(1), args.next()) else { return false };
            found(None, key);
            number(db).map(|db| found(Some(db), key)).is_some()
        }
    }
}

/// Whether a SORT or GEORADIUS names a destination; without one it reads.
pub(crate) fn stores(raw: &[u8]) -> bool {
    let mut any = false;
    destinations(Arguments::new(raw).skip(2), |_| any = true);
    any
}

/// What follows STORE and STOREDIST. A value that happens to be such a word only adds a key.
fn destinations<'a>(args: impl Iterator<Item = &'a [u8]>, mut found: impl FnMut(&'a [u8])) {
    let mut after = false;
    for argument in args {
        if after {
            found(argument);
        }
        after =
            argument.eq_ignore_ascii_case(b"STORE") || argument.eq_ignore_ascii_case(b"STOREDIST");
    }
}

/// First and last position as the table gives them, for this many arguments.
fn bounds(first: u8, last: i8, count: usize) -> Option<(usize, usize)> {
    let first = usize::from(first);
    let last = match last {
        0.. => last.unsigned_abs().into(),
        _ => count.checked_sub(last.unsigned_abs().into())?,
    };
    (first <= last && last < count).then_some((first, last))
}

fn counted<'a>(args: &mut Arguments<'a>, at: u8, mut found: impl FnMut(&'a [u8])) -> Option<()> {
    let keys = number(args.nth(at.into())?)?;
    for _ in 0..keys {
        found(args.next()?);
    }
    Some(())
}

fn number(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use wire_redis::encode;

    use super::*;
    use crate::commands::{find, row};

    fn raw(line: &str) -> BytesMut {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = BytesMut::new();
        encode::command(&mut out, &args);
        out
    }

    fn check(line: &str, expect: Option<&str>) {
        let raw = raw(line);
        let args: Vec<&[u8]> = Arguments::new(&raw).collect();
        let command = row(find(args[0], args.get(1).copied()));
        let mut keys = Vec::new();
        let ok = for_each_key(command, &raw, |db, key| {
            let key = String::from_utf8_lossy(key);
            keys.push(db.map_or(key.to_string(), |db| format!("{db}/{key}")));
        });
        assert_eq!(ok.then(|| keys.join(" ")).as_deref(), expect, "{line}");
    }

    #[test]
    fn keys_of_every_shape() {
        check("GET a", Some("a"));
        check("PING", Some(""));
        check("MSET a 1 b 2", Some("a b"));
        check("DEL a b c", Some("a b c"));
        check("BLPOP a b 0", Some("a b"));
        check("BITOP AND d a b", Some("d a b"));
        check("EVAL s 2 a b c", Some("a b"));
        check("EVAL s 3 a b", None);
        check("EVAL s x a b", None);
        check("ZUNIONSTORE d 2 a b WEIGHTS 1 2", Some("d a b"));
        check("LMPOP 2 a b LEFT", Some("a b"));
        check("BLMPOP 0 2 a b LEFT", Some("a b"));
        check("XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0", Some("a b"));
        check("XREADGROUP GROUP g c STREAMS a >", Some("a"));
        check("XREAD STREAMS a", None);
        check("SORT a BY w_* STORE d", Some("a d"));
        check("GEORADIUS a 1 2 3 m STORE d STOREDIST e", Some("a d e"));
        check("COPY a b DB 3 REPLACE", Some("a 3/b"));
        check("COPY a b", Some("a b"));
        check("MOVE a 5", Some("a 5/a"));
        check("MIGRATE h 1 key 0 100", Some("key"));
        check("OBJECT ENCODING a", Some("a"));
        check("XGROUP CREATE s g $", Some("s"));
        check("GET", None);
        check("BLPOP a", None);
    }

    #[test]
    fn sort_without_a_destination_reads() {
        assert!(!stores(&raw("SORT a BY store*")));
        assert!(stores(&raw("SORT a BY w* store d")));
        assert!(stores(&raw("GEORADIUS a 1 2 3 m STOREDIST e")));
    }
}
