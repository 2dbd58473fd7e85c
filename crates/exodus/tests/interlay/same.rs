//! Bytes through an interlay equal bytes from the server.

use chaos::rng::Rng;
use chaos::servers::Flavor;

use crate::rig::{Client, Rig, command, direct, server, words};

/// One command of every kind whose reply depends on nothing but what was sent before.
const CORPUS: &str = r#"
PING
PING hello
ECHO "a b"
SET s 1
GET s
GET missing
SET s 2 NX
SET s 3 XX GET
INCR s
INCRBYFLOAT s 0.5
APPEND s xyz
STRLEN s
GETRANGE s 0 2
SETRANGE s 1 ZZ
MSET a 1 b 2 c 3
MGET a b c d
MSETNX a 9 z 9
DEL a nope
UNLINK b
EXISTS c c nope
TYPE c
EXPIRE c 1000
PERSIST c
TTL c
GETDEL c
RPUSH l 1 2 3 4
LRANGE l 0 -1
LPOP l
LPOP l 2
LMOVE l l LEFT RIGHT
LINSERT l BEFORE 4 x
LPOS l 4
LLEN l
LPOP
HSET h f 1 g 2
HGETALL h
HMGET h f nope
HINCRBY h f 5
HDEL h g
HSCAN h 0
SADD t 1
SMEMBERS t
SISMEMBER t 1
SMISMEMBER t 1 2
SINTERCARD 1 t
ZADD z1 1 a 2.5 b
ZADD z1 XX CH 3 a
ZRANGE z1 0 -1 WITHSCORES
ZSCORE z1 b
ZMSCORE z1 a nope
ZRANGEBYSCORE z1 -inf +inf
ZUNIONSTORE z2 2 z1 z1
ZPOPMIN z2
ZRANDMEMBER nope
XADD x 1-1 f v
XADD x 1-2 f w
XRANGE x - +
XLEN x
XGROUP CREATE x g 0
XREADGROUP GROUP g c COUNT 1 STREAMS x >
XACK x g 1-1
XREAD COUNT 1 STREAMS x 0
XINFO STREAM nope
GEOADD geo 13.361389 38.115556 P
GEOPOS geo P
GEOHASH geo P
PFADD pf a b
PFCOUNT pf
SETBIT bits 7 1
BITCOUNT bits
BITFIELD bits GET u8 0
SORT l ALPHA
SORT l ALPHA STORE sorted
COPY s s2
RENAME s2 s3
RENAMENX s3 s
OBJECT ENCODING s
DUMP nope
EVAL "return {1,'a',false,{2}}" 0
EVAL "return redis.call('incr',KEYS[1])" 1 n
EVAL "return redis.error_reply('MY error')" 0
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVAL_RO "return redis.call('get',KEYS[1])" 1 n
MULTI
SET m 1
INCR m
EXEC
MULTI
NOSUCH
EXEC
MULTI
SET m 5
DISCARD
EXEC
DISCARD
MULTI
MULTI
EXEC
WATCH m
SET m 7
MULTI
GET m
EXEC
WATCH m
UNWATCH
MULTI
SELECT 1
SET indb1 1
EXEC
GET indb1
SELECT 0
GET indb1
SELECT 1
GET indb1
SELECT 99
SELECT abc
SELECT
SELECT 0
MOVE m 2
GET m
DBSIZE
BLPOP l 1
BLPOP nokey 0.05
BRPOP l 1
BLMOVE nokey l LEFT LEFT 0.05
BZPOPMIN z1 1
BLMPOP 0.05 1 nokey LEFT
BLPOP l notanumber
BLPOP l -1
XREAD BLOCK 20 STREAMS x $
WAIT 0 10
AUTH nope
AUTH nouser nopass
AUTH a b c
AUTH
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME "with space"
CLIENT NOSUCH
CLIENT
CLIENT REPLY MAYBE
NOSUCH a b c
GET
GET a b
SET a
FLUSHALL SIDEWAYS
OBJECT HELP
PUBLISH ch msg
PUBSUB NUMSUB ch
SUBSCRIBE
UNSUBSCRIBE
UNSUBSCRIBE one two
PUNSUBSCRIBE
READONLY
READWRITE
ASKING
CLUSTER INFO
DEBUG SLEEP 0
CONFIG GET maxmemory-samples
COMMAND COUNT
SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff
FUNCTION LIST
LATENCY RESET
HELLO 9
HELLO x
HELLO 2 AUTH u
HELLO 2 SETNAME "a b"
KEYS nothing*
FLUSHDB
DBSIZE
RESET
PING
"#;

fn lines() -> impl Iterator<Item = &'static str> {
    CORPUS.lines().map(str::trim).filter(|l| !l.is_empty())
}

#[test]
fn every_command_answers_as_it_does_directly() {
    let rig = Rig::new();
    let plain = server(Flavor::Redis);
    for hello in ["HELLO 2", "HELLO 3"] {
        let (mut ours, mut theirs) = (rig.client(), direct(&plain));
        ours.ask(hello);
        theirs.ask(hello);
        ours.ask("FLUSHALL");
        theirs.ask("FLUSHALL");
        for line in lines() {
            let expect = theirs.ask(line);
            assert_eq!(ours.ask(line), expect, "{hello}: {line}");
            for _ in 1..extra_replies(line) {
                assert_eq!(ours.reply(), theirs.reply(), "{hello}: {line}");
            }
        }
    }
}

fn extra_replies(line: &str) -> usize {
    if line == "UNSUBSCRIBE one two" { 2 } else { 1 }
}

#[test]
fn inline_commands_are_understood_alike() {
    let rig = Rig::new();
    let plain = server(Flavor::Redis);
    let (mut ours, mut theirs) = (rig.client(), direct(&plain));
    for line in [
        "PING\r\n",
        "SET k \"a b\\x41\"\n",
        "GET k\r\n",
        "\r\nGET 'k'\r\n",
        "select 2\r\n",
        "GET k\r\n",
        "*0\r\nPING\r\n",
        "*-1\r\nPING\r\n",
        "nosuch 'x'\r\n",
        "client setname a\r\n",
        "client getname\r\n",
        "blpop nokey 0.01\r\n",
        "multi\r\n",
        "incr n\r\n",
        "exec\r\n",
    ] {
        ours.send(line.as_bytes());
        theirs.send(line.as_bytes());
        assert_eq!(ours.reply(), theirs.reply(), "{line}");
    }
}

#[test]
fn what_is_not_the_protocol_is_refused_alike_and_closes() {
    let rig = Rig::new();
    let plain = server(Flavor::Redis);
    let mut long = vec![b'x'; 70_000];
    let mut count = b"*".to_vec();
    count.extend_from_slice(&[b'1'; 70_000]);
    long.push(b'y');
    let cases: [&[u8]; 9] = [
        b"*1\r\n+PING\r\n",
        b"*x\r\n",
        b"*2147483648\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$536870913\r\n",
        b"*2\r\n$3\r\nGET\r\n:1\r\n",
        b"\"unbalanced\r\n",
        &long,
        &count,
    ];
    for case in cases {
        let shown = case[..case.len().min(30)].escape_ascii().to_string();
        for before in [&b""[..], b"PING\r\n"] {
            let talk = |mut client: Client| {
                client.send(before);
                client.send(case);
                std::iter::from_fn(|| client.message()).collect::<Vec<_>>()
            };
            let (ours, theirs) = (talk(rig.client()), talk(direct(&plain)));
            assert_eq!(ours, theirs, "{shown}");
        }
    }
    // Stricter than the server: an argument has to end in CR LF.
    let mut client = rig.client();
    client.send(b"*1\r\n$4\r\nPINGxx");
    assert!(client.reply().starts_with("-ERR Protocol error"));
    assert_eq!(client.message(), None);
}

#[test]
fn deep_random_pipelines_keep_their_order() {
    let rig = Rig::new();
    let plain = server(Flavor::Redis);
    for seed in 0..3 {
        let mut rng = Rng::fork(seed, 0);
        let mut bytes = Vec::new();
        for i in 0..10_000u32 {
            let key = format!("k{}", rng.below(50));
            let value = "v".repeat(rng.below(300) as usize);
            bytes.extend_from_slice(&match rng.below(12) {
                0 | 1 => command(&[b"SET", key.as_bytes(), value.as_bytes()]),
                2 | 3 => command(&[b"GET", key.as_bytes()]),
                4 => command(&[b"INCR", b"counter"]),
                5 => command(&[b"ECHO", i.to_string().as_bytes()]),
                6 => command(&[b"LPUSH", b"list", key.as_bytes()]),
                7 => command(&[b"LPOP", b"list"]),
                8 => words("NOSUCH"),
                9 if rng.below(20) == 0 => words("SELECT 3"),
                9 if rng.below(20) == 0 => words("SELECT 0"),
                10 if rng.below(10) == 0 => {
                    [words("MULTI"), words("INCR counter"), words("GET counter"), words("EXEC")]
                        .concat()
                }
                10 if rng.below(10) == 0 => words("CLIENT SETNAME me"),
                11 if rng.below(20) == 0 => words("BLPOP list 0.001"),
                _ => words("PING"),
            });
        }
        bytes.extend_from_slice(&words("ECHO end"));
        let talk = |mut client: Client| {
            client.ask("FLUSHALL");
            let mut writer = client.stream.try_clone().unwrap();
            let bytes = bytes.clone();
            let sender =
                std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
            let mut out = Vec::new();
            while out.last().is_none_or(|m: &Vec<u8>| !m.ends_with(b"\nend\r\n")) {
                out.push(client.message().unwrap());
            }
            sender.join().unwrap();
            out
        };
        let (ours, theirs) = (talk(rig.client()), talk(direct(&plain)));
        assert_eq!(ours.len(), theirs.len());
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let show = |b: &[u8]| b.escape_ascii().to_string();
            assert_eq!(show(ours), show(theirs), "seed {seed}, reply {index}");
        }
    }
}

#[test]
fn large_values_pass_both_ways() {
    let rig = Rig::new();
    let mut client = rig.client();
    let value = vec![b'x'; 64 << 20];
    let set = command(&[b"SET", b"big", &value]);
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &set).unwrap());
    assert_eq!(client.reply(), "+OK|");
    sender.join().unwrap();
    client.check("STRLEN big", &format!(":{}|", value.len()));
    client.send(&words("GET big"));
    let got = client.message().unwrap();
    assert_eq!(got.len(), value.len() + 13);
    assert!(got[11..got.len() - 2] == value[..]);
    client.check("PING", "+PONG|");
}
