//! The order of keys, where it can be told without asking the server.

use std::cmp::Ordering;

/// A key as text, one value per column.
pub(crate) type KeyText = Vec<String>;

/// How the values of one key column are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// As whole numbers.
    Number,
    /// As their bytes: text in the collation C, and forms whose text orders as they do.
    Bytes,
    /// As the server says: collations, and types of any kind.
    Asked,
}

impl Rank {
    /// Of a type by its name; `plain` tells that its collation orders by bytes, or that it has
    /// none.
    pub(crate) fn of(type_name: &str, plain: bool) -> Self {
        match type_name {
            "smallint" | "integer" | "bigint" => Self::Number,
            // Sixteen bytes in lower case hexadecimal, and bytes in the same.
            "uuid" | "bytea" => Self::Bytes,
            "text" | "character varying" if plain => Self::Bytes,
            _ => Self::Asked,
        }
    }

    fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Self::Number => Some(a.parse::<i64>().ok()?.cmp(&b.parse::<i64>().ok()?)),
            Self::Bytes => Some(a.as_bytes().cmp(b.as_bytes())),
            Self::Asked => None,
        }
    }
}

/// The order of a whole key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Order(pub(crate) Vec<Rank>);

impl Order {
    /// Whether nothing has to be asked.
    pub(crate) fn is_known(&self) -> bool {
        self.0.iter().all(|rank| *rank != Rank::Asked)
    }

    /// As the server would compare the two; `None` when only it can.
    pub(crate) fn compare(&self, a: &[String], b: &[String]) -> Option<Ordering> {
        if !self.is_known() {
            return None;
        }
        let columns = self.0.iter().zip(a.iter().zip(b));
        for (rank, (a, b)) in columns {
            match rank.compare(a, b)? {
                Ordering::Equal => {}
                other => return Some(other),
            }
        }
        Some(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_orders() {
        let order = Order(vec![Rank::Number, Rank::Bytes]);
        let key = |n: &str, t: &str| vec![n.to_owned(), t.to_owned()];
        let check = |a: &[String], b: &[String], expect| assert_eq!(order.compare(a, b), expect);
        check(&key("9", "b"), &key("10", "a"), Some(Ordering::Less));
        check(&key("-3", "a"), &key("-3", "B"), Some(Ordering::Greater));
        check(&key("1", "a"), &key("1", "a"), Some(Ordering::Equal));
        check(&key("x", "a"), &key("1", "a"), None);
        assert_eq!(Order(vec![Rank::Asked]).compare(&key("1", ""), &key("2", "")), None);
    }

    #[test]
    fn only_what_is_certain_is_not_asked() {
        assert_eq!(Rank::of("text", false), Rank::Asked);
        assert_eq!(Rank::of("text", true), Rank::Bytes);
        assert_eq!(Rank::of("bpchar", true), Rank::Asked);
        assert_eq!(Rank::of("numeric", true), Rank::Asked);
        assert_eq!(Rank::of("public.mood", true), Rank::Asked);
    }
}
