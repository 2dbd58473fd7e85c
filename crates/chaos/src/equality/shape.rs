//! Making replies comparable: order only where the type has one, numbers as numbers.

use redis::Value;

use crate::value;

/// Why two whole contents of this kind differ, or `None`.
pub(super) fn difference(kind: &str, left: &Value, right: &Value) -> Option<String> {
    match kind {
        "string" => strings(bytes(left), bytes(right)),
        "list" => first_unequal(&elements(left), &elements(right)),
        "set" => first_unequal(&sorted(elements(left)), &sorted(elements(right))),
        "hash" => first_unequal(&sorted(pairs(left)), &sorted(pairs(right))),
        "zset" => first_unequal(&scored(left), &scored(right)),
        other => Some(format!("{other} cannot be compared")),
    }
}

/// Why two strings differ. The cached cardinality in a HyperLogLog's header (bytes 8 to 16) is
/// rewritten by reads and is not content: <https://redis.io/docs/latest/commands/pfcount/>.
pub(super) fn strings(left: &[u8], right: &[u8]) -> Option<String> {
    let content = |s: &[u8]| -> Vec<u8> {
        let mut s = s.to_vec();
        if s.starts_with(b"HYLL") && s.len() >= 16 {
            s[8..16].fill(0);
        }
        s
    };
    if left == right || content(left) == content(right) {
        return None;
    }
    let at =
        left.iter().zip(right).position(|(l, r)| l != r).unwrap_or(left.len().min(right.len()));
    Some(format!("differ from byte {at}: {} / {}", near(left, at), near(right, at)))
}

fn near(data: &[u8], at: usize) -> String {
    let from = at.min(data.len());
    value::show(&data[from..data.len().min(from + 24)])
}

/// Why two sequences differ.
pub(super) fn first_unequal<T: PartialEq + Show>(left: &[T], right: &[T]) -> Option<String> {
    if left == right {
        return None;
    }
    let at = left.iter().zip(right).position(|(l, r)| l != r);
    let at = at.unwrap_or(left.len().min(right.len()));
    let show = |side: &[T]| side.get(at).map_or_else(|| "nothing".to_owned(), Show::show);
    Some(format!("element {at}: {} / {}", show(left), show(right)))
}

/// Members with their scores as bits, in the order sent: score, then member.
pub(super) fn scored(value: &Value) -> Vec<(Vec<u8>, u64)> {
    let flat: Vec<&Value> = value::items(value)
        .iter()
        .flat_map(|v| match v {
            Value::Array(pair) => pair.iter().collect::<Vec<_>>(),
            one => vec![one],
        })
        .collect();
    flat.chunks(2)
        .filter_map(|pair| match pair {
            [member, score] => Some((bytes(member).to_vec(), canonical(value::float(score)?))),
            _ => None,
        })
        .collect()
}

/// Score bits; both zeros are one score.
fn canonical(score: f64) -> u64 {
    if score == 0.0 { 0 } else { score.to_bits() }
}

pub(super) fn elements(value: &Value) -> Vec<Vec<u8>> {
    value::items(value).iter().map(|v| bytes(v).to_vec()).collect()
}

pub(super) fn pairs(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    if let Value::Map(map) = value {
        return map.iter().map(|(k, v)| (bytes(k).to_vec(), bytes(v).to_vec())).collect();
    }
    value::items(value)
        .chunks(2)
        .filter_map(|pair| match pair {
            [k, v] => Some((bytes(k).to_vec(), bytes(v).to_vec())),
            _ => None,
        })
        .collect()
}

pub(super) fn bytes(value: &Value) -> &[u8] {
    value::bytes(value).unwrap_or_default()
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items
}

/// An element as a human can read it.
pub(super) trait Show {
    fn show(&self) -> String;
}

impl Show for Vec<u8> {
    fn show(&self) -> String {
        value::show(self)
    }
}

impl Show for (Vec<u8>, Vec<u8>) {
    fn show(&self) -> String {
        format!("{}={}", value::show(&self.0), value::show(&self.1))
    }
}

impl Show for (Vec<u8>, u64) {
    fn show(&self) -> String {
        format!("{} at {}", value::show(&self.0), f64::from_bits(self.1))
    }
}
