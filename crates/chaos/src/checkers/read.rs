//! Reading large keys in chunks, one connection per database.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use crate::conn::{Address, Conn, Fault};
use crate::value;

const CHUNK: usize = 5_000;
const CHUNK_BYTES: usize = 1 << 20;

/// An entry's id and the value of one of its fields.
pub(super) type Entry = (Vec<u8>, Vec<u8>);
/// A member and its score.
pub(super) type Scored = (Vec<u8>, f64);

/// Connections to the server that is judged.
pub(super) struct Reader {
    address: Address,
    conns: BTreeMap<u8, Conn>,
}

impl Reader {
    pub(super) fn new(address: &Address) -> Self {
        Self { address: address.clone(), conns: BTreeMap::new() }
    }

    pub(super) fn conn(&mut self, db: u8) -> Result<&mut Conn, Fault> {
        if !self.conns.contains_key(&db) {
            let conn = Conn::open(&self.address, i64::from(db), Duration::from_secs(30))?;
            self.conns.insert(db, conn);
        }
        self.conns.get_mut(&db).ok_or_else(|| Fault::NotSent("no connection".to_owned()))
    }

    pub(super) fn call(&mut self, db: u8, command: &Cmd) -> Result<Value, Fault> {
        self.conn(db)?.call(command)
    }

    /// A whole list.
    pub(super) fn list(&mut self, db: u8, key: &str) -> Result<Vec<Vec<u8>>, Fault> {
        let mut all = Vec::new();
        loop {
            let mut c = cmd("LRANGE");
            c.arg(key).arg(all.len()).arg(all.len() + CHUNK - 1);
            let page = self.call(db, &c)?;
            let page = value::items(&page);
            all.extend(page.iter().map(owned));
            if page.len() < CHUNK {
                return Ok(all);
            }
        }
    }

    /// A whole set.
    pub(super) fn set(&mut self, db: u8, key: &str) -> Result<Vec<Vec<u8>>, Fault> {
        let mut c = cmd("SMEMBERS");
        c.arg(key);
        Ok(value::items(&self.call(db, &c)?).iter().map(owned).collect())
    }

    /// A whole sorted set.
    pub(super) fn zset(&mut self, db: u8, key: &str) -> Result<Vec<Scored>, Fault> {
        let mut c = cmd("ZRANGE");
        c.arg(key).arg(0).arg(-1).arg("WITHSCORES");
        let flat = self.call(db, &c)?;
        let pairs = value::items(&flat).chunks(2);
        Ok(pairs
            .filter_map(|pair| match pair {
                [member, score] => Some((owned(member), value::float(score)?)),
                _ => None,
            })
            .collect())
    }

    /// Ids of a stream's entries and the value of `field` in each.
    pub(super) fn stream(&mut self, db: u8, key: &str, field: &str) -> Result<Vec<Entry>, Fault> {
        let (mut all, mut from) = (Vec::new(), b"-".to_vec());
        loop {
            let mut c = cmd("XRANGE");
            c.arg(key).arg(&from).arg("+").arg("COUNT").arg(CHUNK);
            let page = self.call(db, &c)?;
            let page = value::items(&page);
            for entry in page {
                if let [id, fields] = value::items(entry) {
                    let held = value::field(fields, field).map(owned).unwrap_or_default();
                    all.push((owned(id), held));
                }
            }
            match all.last() {
                Some((last, _)) if page.len() == CHUNK => from = [b"(", last.as_slice()].concat(),
                _ => return Ok(all),
            }
        }
    }

    /// A whole string; empty if absent.
    pub(super) fn string(&mut self, db: u8, key: &str) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        loop {
            let mut c = cmd("GETRANGE");
            c.arg(key).arg(all.len()).arg(all.len() + CHUNK_BYTES - 1);
            let page = self.call(db, &c)?;
            let page = value::bytes(&page).unwrap_or_default();
            all.extend_from_slice(page);
            if page.len() < CHUNK_BYTES {
                return Ok(all);
            }
        }
    }
}

fn owned(value: &Value) -> Vec<u8> {
    value::bytes(value).unwrap_or_default().to_vec()
}
