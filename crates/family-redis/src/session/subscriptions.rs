//! Which channels a client listens to, as the server confirmed it.

use std::collections::BTreeSet;

use super::local::command;

/// Channels, patterns, shard channels.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    sets: [BTreeSet<Vec<u8>>; 3],
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Channels,
    Patterns,
    Shards,
}

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.sets.iter().all(BTreeSet::is_empty)
    }

    pub(super) fn count(&self, of: Of) -> usize {
        self.sets[of as usize].len()
    }

    /// Takes the server's confirmations in. Returns whether any was one.
    pub(super) fn confirm(&mut self, mut messages: &[u8]) {
        while let Some((kind, (channel, rest))) = confirmation(messages) {
            let (of, adds) = match kind {
                b"subscribe" => (Of::Channels, true),
                b"unsubscribe" => (Of::Channels, false),
                b"psubscribe" => (Of::Patterns, true),
                b"punsubscribe" => (Of::Patterns, false),
                b"ssubscribe" => (Of::Shards, true),
                b"sunsubscribe" => (Of::Shards, false),
                _ => return,
            };
            let set = &mut self.sets[of as usize];
            match (channel, adds) {
                (Some(channel), true) => {
                    set.insert(channel.to_vec());
                }
                (Some(channel), false) => {
                    set.remove(channel);
                }
                (None, _) => {}
            }
            messages = rest;
        }
    }

    /// Commands that subscribe a fresh connection to the same, and how many confirmations each
    /// is answered with.
    pub(super) fn restore(&self, out: &mut Vec<u8>, mut sent: impl FnMut(usize)) {
        for (set, name) in self.sets.iter().zip([&b"SUBSCRIBE"[..], b"PSUBSCRIBE", b"SSUBSCRIBE"]) {
            // A cluster's server takes shard channels of one slot only: one by one.
            let size = if name == b"SSUBSCRIBE" { 1 } else { 256 };
            let all: Vec<&[u8]> = set.iter().map(Vec::as_slice).collect();
            for some in all.chunks(size) {
                let mut args = vec![name];
                args.extend_from_slice(some);
                command(out, &args);
                sent(some.len());
            }
        }
    }
}

/// A string or nil, and what follows it.
type Taken<'a> = (Option<&'a [u8]>, &'a [u8]);

/// Kind and channel of the confirmation at the front, and what follows it.
fn confirmation(input: &[u8]) -> Option<(&[u8], Taken<'_>)> {
    let rest = input.strip_prefix(b"*3\r\n").or_else(|| input.strip_prefix(b">3\r\n"))?;
    let (kind, rest) = string(rest)?;
    let (channel, rest) = string(rest)?;
    let rest = rest.strip_prefix(b":")?;
    let end = memchr::memchr(b'\n', rest)?;
    Some((kind?, (channel, &rest[end + 1..])))
}

/// A bulk string or nil, and what follows it.
fn string(input: &[u8]) -> Option<Taken<'_>> {
    if let Some(rest) = input.strip_prefix(b"_\r\n").or_else(|| input.strip_prefix(b"$-1\r\n")) {
        return Some((None, rest));
    }
    let rest = input.strip_prefix(b"$")?;
    let at = memchr::memchr(b'\r', rest)?;
    let length: usize = std::str::from_utf8(&rest[..at]).ok()?.parse().ok()?;
    let start = at + 2;
    let end = start.checked_add(length)?;
    Some((Some(rest.get(start..end)?), rest.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_the_server_confirmed() {
        let mut subs = Subscriptions::default();
        subs.confirm(
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
        );
        subs.confirm(b">3\r\n$10\r\npsubscribe\r\n$2\r\nx*\r\n:3\r\n");
        assert_eq!((subs.count(Of::Channels), subs.count(Of::Patterns)), (2, 1));
        let (mut out, mut counts) = (Vec::new(), Vec::new());
        subs.restore(&mut out, |n| counts.push(n));
        assert_eq!(counts, [2, 1]);
        assert!(out.starts_with(b"*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"));
        subs.confirm(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n");
        subs.confirm(b"-NOPERM no\r\n");
        subs.confirm(b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
        assert_eq!(subs.count(Of::Channels), 1);
        assert!(!subs.is_empty());
    }
}
