//! Hashing a value's content, chunk by chunk, in a form that depends on no encoding.

use blake3::Hasher;
use model::Digest;
use wire_redis::Value;

use crate::database::elements::stream;
use crate::database::elements::walk::Kind;

/// A digest in the making.
pub(super) struct Content {
    kind: Kind,
    pub(super) hasher: Hasher,
    /// Digests of the elements of what has no order.
    unordered: Vec<[u8; 16]>,
}

impl Content {
    pub(super) fn new(kind: Kind, expiry: i64) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&[kind as u8]).update(&expiry.to_le_bytes());
        Self { kind, hasher, unordered: Vec::new() }
    }

    /// Takes a chunk in the form of [`Walk::next`]; false when it has another form.
    pub(super) fn add(&mut self, items: &[Value]) -> bool {
        self.try_add(items).is_some()
    }

    fn try_add(&mut self, items: &[Value]) -> Option<()> {
        match self.kind {
            Kind::String => {
                for item in items {
                    self.hasher.update(item.as_bytes()?);
                }
            }
            Kind::List => {
                for item in items {
                    field(&mut self.hasher, item.as_bytes()?);
                }
            }
            Kind::Set => {
                for item in items {
                    self.unordered.push(element(&[item.as_bytes()?]));
                }
            }
            Kind::Hash => {
                for pair in items.chunks(2) {
                    let [name, value] = pair else { return None };
                    self.unordered.push(element(&[name.as_bytes()?, value.as_bytes()?]));
                }
            }
            Kind::Zset => {
                for pair in items.chunks(2) {
                    let [member, score] = pair else { return None };
                    field(&mut self.hasher, member.as_bytes()?);
                    self.hasher.update(&score_bits(score)?.to_le_bytes());
                }
            }
            Kind::Stream => {
                for item in items {
                    let (id, fields) = stream::entry(item)?;
                    field(&mut self.hasher, id);
                    self.hasher.update(&(fields.len() as u64).to_le_bytes());
                    for text in fields {
                        field(&mut self.hasher, text.as_bytes()?);
                    }
                }
            }
        }
        Some(())
    }

    pub(super) fn finish(mut self) -> Digest {
        // A scan may tell an element twice.
        self.unordered.sort_unstable();
        self.unordered.dedup();
        for element in &self.unordered {
            self.hasher.update(element);
        }
        short(&self.hasher)
    }
}

/// Length and bytes, so that neighbours cannot be confused.
pub(super) fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

fn element(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Hasher::new();
    for part in parts {
        field(&mut hasher, part);
    }
    short(&hasher).0
}

pub(super) fn short(hasher: &Hasher) -> Digest {
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Digest(bytes)
}

fn score_bits(score: &Value) -> Option<u64> {
    let number: f64 = match score {
        Value::Double(number) => *number,
        other => other.as_str()?.parse().ok()?,
    };
    // Minus zero equals zero for every command that reads it.
    Some((number + 0.0).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn bulks(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|t| Value::Bulk(Bytes::copy_from_slice(t.as_bytes()))).collect()
    }

    fn digest(kind: Kind, expiry: i64, chunks: &[&[&str]]) -> Digest {
        let mut content = Content::new(kind, expiry);
        for chunk in chunks {
            assert!(content.add(&bulks(chunk)));
        }
        content.finish()
    }

    #[test]
    fn order_counts_only_where_there_is_one() {
        let set = |chunks: &[&[&str]]| digest(Kind::Set, -1, chunks);
        assert_eq!(set(&[&["a", "b"]]), set(&[&["b"], &["a", "b"]]));
        let list = |chunks: &[&[&str]]| digest(Kind::List, -1, chunks);
        assert_ne!(list(&[&["a", "b"]]), list(&[&["b", "a"]]));
        assert_eq!(list(&[&["a", "b"]]), list(&[&["a"], &["b"]]));
        assert_ne!(list(&[&["ab"]]), list(&[&["a", "b"]]));
    }

    #[test]
    fn scores_are_numbers() {
        let zset = |score: &str| digest(Kind::Zset, -1, &[&["m", score]]);
        assert_eq!(zset("3.1"), zset("3.1000000000000001"));
        assert_eq!(zset("-0"), zset("0"));
        assert_eq!(zset("inf"), zset("Infinity"));
        assert_ne!(zset("1"), zset("2"));
    }

    #[test]
    fn type_and_expiry_count() {
        assert_ne!(digest(Kind::Set, -1, &[&["a"]]), digest(Kind::List, -1, &[&["a"]]));
        assert_ne!(digest(Kind::Set, -1, &[&["a"]]), digest(Kind::Set, 5, &[&["a"]]));
    }
}
