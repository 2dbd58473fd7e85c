//! A record of every type there and back: what a side accepts of the other is found by trying.
//!
//! Scratch keys are made on the target, copied to the source and from there back to the target,
//! by the same readers and writers as the migration itself, so that the detours found are known
//! from the first real record on. All of them expire within seconds and are removed at the end.

use std::sync::Arc;

use family::{Applied, Finding, PortError, Reader, Severity, Writer};
use model::{Key, Side};

use crate::compare::finding;
use crate::conn::Conn;
use crate::database::{RedisDatabase, nonce};
use crate::key::{self, OWN_PREFIX};

/// Life of a scratch key, in milliseconds.
const LIFE_MS: &[u8] = b"10000";
/// Members that push a collection out of its compact encoding on every server.
const MANY: usize = 700;

/// What a canary is called and the commands that make it (its name left out).
fn canaries() -> Vec<(&'static str, Vec<Vec<Vec<u8>>>)> {
    let words = |list: &[&str]| list.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    let many = |command: &str, each: &dyn Fn(usize) -> Vec<String>| {
        let mut all = words(&[command]);
        all.extend((0..MANY).flat_map(each).map(String::into_bytes));
        all
    };
    vec![
        ("string", vec![words(&["SET", "plain text"])]),
        ("integer", vec![words(&["SET", "1234567"])]),
        ("long_string", vec![vec![b"SET".to_vec(), b"compressible ".repeat(2000)]]),
        ("list", vec![words(&["RPUSH", "a", "1", "-70000", "b"])]),
        ("long_list", vec![many("RPUSH", &|i| vec![format!("element-{i:040}")])]),
        ("int_set", vec![words(&["SADD", "1", "2", "300000"])]),
        ("set", vec![words(&["SADD", "a", "-5", "4096", "some longer member of a set"])]),
        ("large_set", vec![many("SADD", &|i| vec![format!("member-{i}")])]),
        ("hash", vec![words(&["HSET", "f", "v", "n", "1"])]),
        ("large_hash", vec![many("HSET", &|i| vec![format!("f{i}"), format!("v{i}")])]),
        ("zset", vec![words(&["ZADD", "1", "a", "2.5", "b", "-inf", "c"])]),
        ("large_zset", vec![many("ZADD", &|i| vec![format!("{i}.25"), format!("m{i}")])]),
        ("hyperloglog", vec![words(&["PFADD", "a", "b", "c"])]),
        (
            "stream",
            vec![
                words(&["XADD", "1-1", "f", "v"]),
                words(&["XADD", "2-1", "f", "w", "g", "7"]),
                words(&["XADD", "3-1", "f", "x"]),
            ],
        ),
    ]
}

/// Commands on the stream canary that do not begin with the key.
async fn group(conn: &mut Conn, name: &[u8]) -> Result<(), PortError> {
    conn.ask(&[b"XGROUP", b"CREATE", name, b"g", b"0"]).await?;
    let read =
        [b"XREADGROUP".as_slice(), b"GROUP", b"g", b"c", b"COUNT", b"2", b"STREAMS", name, b">"];
    conn.ask(&read).await?;
    conn.ask(&[b"XDEL", name, b"3-1"]).await?;
    Ok(())
}

/// Sends the canaries both ways and adds what came of it to `found`.
pub(crate) async fn fly(
    source: &Arc<RedisDatabase>,
    target: &Arc<RedisDatabase>,
    found: &mut Vec<Finding>,
) -> Result<(), PortError> {
    let prefix = [OWN_PREFIX, format!("canary:{:016x}:", nonce()).as_bytes()].concat();
    let canaries = canaries();
    let names: Vec<&'static str> = canaries.iter().map(|(name, _)| *name).collect();
    let keys: Vec<Key> =
        names.iter().map(|name| key::encode(0, &[&prefix, name.as_bytes()].concat())).collect();
    let flown = async {
        make(target, &canaries, &keys).await?;
        let back = ferry(target, source, &keys).await?;
        let there = ferry(source, target, &keys).await?;
        Ok::<_, PortError>((back, there))
    }
    .await;
    // Removal comes first: findings may wait, the source's keys may not.
    remove(source, &keys).await?;
    remove(target, &keys).await?;
    let (back, there) = flown?;
    found.push(judge(Side::Target, &names, &there));
    found.push(judge(Side::Source, &names, &back));
    Ok(())
}

async fn make(
    database: &Arc<RedisDatabase>,
    canaries: &[(&'static str, Vec<Vec<Vec<u8>>>)],
    keys: &[Key],
) -> Result<(), PortError> {
    let mut conn = database.link().connect().await?;
    for ((what, commands), key) in canaries.iter().zip(keys) {
        let Some(key) = key::decode(key) else { continue };
        for command in commands {
            let Some((verb, rest)) = command.split_first() else { continue };
            conn.queue_head(2 + rest.len());
            conn.arg(verb);
            conn.arg(key.name);
            for arg in rest {
                conn.arg(arg);
            }
            let reply = conn.next().await?;
            crate::error::checked(reply, "making a scratch key", conn.at())?;
        }
        if *what == "stream" {
            group(&mut conn, key.name).await?;
        }
        conn.ask(&[b"PEXPIRE", key.name, LIFE_MS]).await?;
    }
    Ok(())
}

/// Copies each key and compares digests: `None` where all is well, else why not.
async fn ferry(
    from: &Arc<RedisDatabase>,
    to: &Arc<RedisDatabase>,
    keys: &[Key],
) -> Result<Vec<Option<String>>, PortError> {
    let mut reader = from.redis_reader().await?;
    let mut check = to.redis_reader().await?;
    let mut writer = to.redis_writer().await?;
    let records = reader.read(keys).await?;
    let applied = writer.apply(&records).await?;
    let before = reader.digest(keys).await?;
    let after = check.digest(keys).await?;
    let pairs = before.iter().zip(&after);
    Ok(applied
        .into_iter()
        .zip(pairs)
        .map(|(applied, (before, after))| match applied {
            Applied::Failed(error) => Some(error.message),
            Applied::Done if before.is_none() || before != after => {
                Some("it arrived with other content".into())
            }
            Applied::Done => None,
        })
        .collect())
}

async fn remove(database: &Arc<RedisDatabase>, keys: &[Key]) -> Result<(), PortError> {
    let mut conn = database.link().connect().await?;
    for key in keys {
        if let Some(key) = key::decode(key) {
            conn.ask(&[b"UNLINK", key.name]).await?;
        }
    }
    Ok(())
}

fn judge(to: Side, names: &[&str], outcomes: &[Option<String>]) -> Finding {
    let failed: Vec<String> = names
        .iter()
        .zip(outcomes)
        .filter_map(|(name, why)| why.as_ref().map(|why| format!("{name}: {why}")))
        .collect();
    if failed.is_empty() {
        let evidence =
            format!("{} kinds of records arrived equal at the {}", names.len(), to.as_str());
        return finding("EXO-PRE-123", Severity::Pass, Some(to), evidence, "");
    }
    // Towards the source it is rollback that would not be whole.
    let (severity, remedy) = match to {
        Side::Target => {
            (Severity::Blocker, "records of these kinds would be parked: choose another target")
        }
        Side::Source => (
            Severity::Risk,
            "once the target decides, records of these kinds cannot be followed back: rollback \
             would lose their changes",
        ),
    };
    finding("EXO-PRE-123", severity, Some(to), failed.join("; "), remedy)
}
