//! What each key holds, as a pure function of seed and index.

use redis::{Cmd, cmd};

use crate::rng::Rng;

/// The kinds of keys, finer than the server's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string: bytes, an integer or a float.
    String,
    /// A list.
    List,
    /// A set, of integers or of strings.
    Set,
    /// A hash, small or as a table.
    Hash,
    /// A sorted set.
    ZSet,
    /// A stream with groups, consumers and pending entries.
    Stream,
    /// A HyperLogLog.
    Hyperloglog,
    /// A bitmap.
    Bitmap,
    /// Geographic positions.
    Geo,
}

impl Kind {
    const fn tag(self) -> &'static str {
        match self {
            Self::String => "str",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::ZSet => "zset",
            Self::Stream => "stream",
            Self::Hyperloglog => "hll",
            Self::Bitmap => "bits",
            Self::Geo => "geo",
        }
    }

    fn draw(rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..46 => Self::String,
            46..58 => Self::List,
            58..70 => Self::Set,
            70..84 => Self::Hash,
            84..93 => Self::ZSet,
            93..95 => Self::Stream,
            95..97 => Self::Hyperloglog,
            97..99 => Self::Bitmap,
            _ => Self::Geo,
        }
    }
}

/// A key and everything about it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its database.
    pub db: i64,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What it holds.
    pub content: Content,
    /// Time to live in milliseconds, counted from when it is seeded.
    pub ttl_ms: Option<u64>,
}

/// What a key holds. `Opaque` kinds are known only by the commands that make them.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A string.
    String(Vec<u8>),
    /// List elements in order.
    List(Vec<Vec<u8>>),
    /// Set members, distinct.
    Set(Vec<Vec<u8>>),
    /// Fields, distinct, and values.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// Members, distinct, and scores.
    ZSet(Vec<(Vec<u8>, f64)>),
    /// Commands without the key, the key goes after the given number of words.
    Opaque(Vec<Vec<Vec<u8>>>),
}

/// The identity of key `index`; leaves `rng` where its content begins.
pub(super) fn name(rng: &mut Rng, index: u64) -> (i64, String, Kind) {
    let kind = Kind::draw(rng);
    let db = match rng.below(100) {
        0..80 => 0,
        80..95 => 1,
        _ => 3,
    };
    (db, format!("ds:{}:{index}", kind.tag()), kind)
}

pub(super) fn key(seed: u64, index: u64) -> Key {
    let mut rng = Rng::fork(seed, index);
    let (db, name, kind) = name(&mut rng, index);
    let ttl_ms = match rng.below(100) {
        0..3 => Some(rng.range(5_000, 60_000)),
        3..13 => Some(rng.range(3_600_000, 172_800_000)),
        _ => None,
    };
    let content = content(&mut rng, kind);
    Key { db, name, kind, content, ttl_ms }
}

fn content(rng: &mut Rng, kind: Kind) -> Content {
    match kind {
        Kind::String => Content::String(match rng.below(4) {
            0 => (rng.next() as i64).to_string().into_bytes(),
            1 => format!("{}.{:02}", rng.below(1_000_000), rng.below(100)).into_bytes(),
            _ => {
                let len = rng.range(8, 200) as usize;
                rng.bytes(len)
            }
        }),
        Kind::List => {
            let len = if rng.percent(3) { 200 } else { rng.range(1, 12) };
            Content::List((0..len).map(|_| word(rng)).collect())
        }
        Kind::Set => Content::Set(if rng.percent(50) {
            numbered(rng, 12, |_, n| (n * 3).to_string().into_bytes())
        } else {
            numbered(rng, 12, |rng, n| [n.to_string().into_bytes(), word(rng)].concat())
        }),
        Kind::Hash => {
            let most = if rng.percent(2) { 300 } else { 10 };
            let fields = numbered(rng, most, |_, n| format!("field:{n}").into_bytes());
            Content::Hash(fields.into_iter().map(|f| (f, word(rng))).collect())
        }
        Kind::ZSet => {
            let most = if rng.percent(2) { 200 } else { 12 };
            let members = numbered(rng, most, |_, n| format!("member:{n}").into_bytes());
            Content::ZSet(members.into_iter().map(|m| (m, score(rng))).collect())
        }
        Kind::Stream => Content::Opaque(stream(rng)),
        Kind::Hyperloglog => {
            let mut words = vec![b"PFADD".to_vec()];
            words.extend((0..rng.range(1, 60)).map(|_| word(rng)));
            Content::Opaque(vec![words])
        }
        Kind::Bitmap => Content::Opaque(
            (0..rng.range(1, 6))
                .map(|_| {
                    let bit = rng.below(4096).to_string().into_bytes();
                    vec![b"SETBIT".to_vec(), bit, b"1".to_vec()]
                })
                .collect(),
        ),
        Kind::Geo => {
            let mut words = vec![b"GEOADD".to_vec()];
            for n in 0..rng.range(1, 8) {
                words.push(format!("{}.{:04}", rng.below(170), rng.below(9999)).into_bytes());
                words.push(format!("{}.{:04}", rng.below(80), rng.below(9999)).into_bytes());
                words.push(format!("place:{n}").into_bytes());
            }
            Content::Opaque(vec![words])
        }
    }
}

/// Entries, a deleted entry, two groups, one with pending entries of two consumers.
fn stream(rng: &mut Rng) -> Vec<Vec<Vec<u8>>> {
    let words = |text: String| text.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    let entries = rng.range(3, 12);
    let mut commands: Vec<Vec<Vec<u8>>> = (1..=entries)
        .map(|n| words(format!("XADD {n}-{} field {} n {n}", rng.below(3), rng.next())))
        .collect();
    if rng.percent(40) {
        commands.push(words("XADD 900-0 gone soon".to_owned()));
        commands.push(words("XDEL 900-0".to_owned()));
    }
    if rng.percent(70) {
        // The key goes after the subcommand here; `seed` knows.
        commands.push(words("XGROUP|CREATE readers 0".to_owned()));
        commands.push(words("XREADGROUP readers alice 2".to_owned()));
        commands.push(words("XREADGROUP readers bob 1".to_owned()));
        commands.push(words("XGROUP|CREATE idle $".to_owned()));
    }
    commands
}

fn word(rng: &mut Rng) -> Vec<u8> {
    let len = rng.range(4, 24) as usize;
    if rng.percent(25) { rng.bytes(len) } else { format!("{:0len$x}", rng.next()).into_bytes() }
}

fn score(rng: &mut Rng) -> f64 {
    match rng.below(20) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2..10 => rng.below(1_000_000) as f64,
        _ => rng.next() as f64 / 1e7 - 9e11,
    }
}

/// 1..=`most` distinct things, made from distinct ascending numbers.
fn numbered(rng: &mut Rng, most: u64, make: impl Fn(&mut Rng, u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    let count = rng.range(1, most + 1);
    let mut number = rng.below(1000);
    (0..count)
        .map(|_| {
            number += rng.range(1, 50);
            make(rng, number)
        })
        .collect()
}

impl Key {
    /// The commands that make it, in order.
    #[must_use]
    pub fn commands(&self) -> Vec<Cmd> {
        let name = self.name.as_bytes();
        let mut commands = match &self.content {
            Content::String(value) => {
                let mut c = cmd("SET");
                c.arg(name).arg(value);
                vec![c]
            }
            Content::List(items) => vec![with_args("RPUSH", name, items)],
            Content::Set(members) => vec![with_args("SADD", name, members)],
            Content::Hash(fields) => {
                let mut c = cmd("HSET");
                c.arg(name);
                for (field, value) in fields {
                    c.arg(field).arg(value);
                }
                vec![c]
            }
            Content::ZSet(members) => {
                let mut c = cmd("ZADD");
                c.arg(name);
                for (member, score) in members {
                    c.arg(score.to_string()).arg(member);
                }
                vec![c]
            }
            Content::Opaque(lists) => lists.iter().map(|words| opaque(name, words)).collect(),
        };
        if let Some(ttl) = self.ttl_ms {
            let mut c = cmd("PEXPIRE");
            c.arg(name).arg(ttl);
            commands.push(c);
        }
        commands
    }
}

fn with_args(verb: &str, name: &[u8], args: &[Vec<u8>]) -> Cmd {
    let mut c = cmd(verb);
    c.arg(name);
    for arg in args {
        c.arg(arg);
    }
    c
}

fn opaque(name: &[u8], words: &[Vec<u8>]) -> Cmd {
    let (verb, rest) = words.split_first().expect("every opaque command has a verb");
    match verb.as_slice() {
        b"XGROUP|CREATE" => {
            let mut c = cmd("XGROUP");
            c.arg("CREATE").arg(name).arg(rest);
            c
        }
        b"XREADGROUP" => {
            let [group, consumer, count] = rest else { return cmd("PING") };
            let mut c = cmd("XREADGROUP");
            c.arg("GROUP").arg(group).arg(consumer).arg("COUNT").arg(count);
            c.arg("STREAMS").arg(name).arg(">");
            c
        }
        verb => {
            let mut c = cmd(&String::from_utf8_lossy(verb));
            c.arg(name).arg(rest);
            c
        }
    }
}
