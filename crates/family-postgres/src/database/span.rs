//! One digest over many rows, computed where they are.
//!
//! The hashes of the rows are added up, so that it does not matter in which order a server reads
//! them; two sums of 60 bits each and the count make the digest.

use std::sync::Arc;

use family::{PortError, Span, SpanEnd};
use model::{Dataset, Digest, Frontier, Key};

use super::relation::Relation;
use super::statements;
use crate::conn::Conn;
use crate::key;

/// `None` for a table without identity, which has no order, and for one that is ordered by a
/// collation: of another version of it the same two keys may enclose other rows.
pub(super) async fn span(
    conn: &mut Conn,
    dataset: &Dataset,
    from: Option<&Frontier>,
    end: SpanEnd<'_>,
) -> Result<Option<Span>, PortError> {
    let relation = Relation::load(conn, dataset).await?;
    if relation.key.is_empty() || relation.key.iter().any(|column| column.collated) {
        return Ok(None);
    }
    let next = match end {
        SpanEnd::Behind(records) => last(conn, dataset, &relation, from, records).await?,
        SpanEnd::At(last) => last.cloned(),
    };
    let (from, upto) = (from.map(|f| Key::new(&f.0)), next.as_ref().map(|f| Key::new(&f.0)));
    let values = |key: &Option<Key>| -> Vec<Vec<u8>> {
        key.as_ref()
            .map(|k| key::decode(k).1.into_iter().map(<[u8]>::to_vec).collect())
            .unwrap_or_default()
    };
    let (begins, ends) = (values(&from), values(&upto));
    let parameters: Vec<Option<&[u8]>> = begins.iter().chain(&ends).map(|v| Some(&v[..])).collect();
    let sql = statements::sums(&relation, from.is_some(), upto.is_some());
    let rows = conn.query_with(&sql, &parameters).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let records: u64 = row.number(0)?;
    let mut digest = [0; 16];
    for (half, column) in digest.chunks_exact_mut(8).zip(1..) {
        // Sums of many numbers of 60 bits; what is above 64 bits says nothing more.
        let sum: u128 = row.number(column)?;
        half.copy_from_slice(&((sum & u128::from(u64::MAX)) as u64).to_be_bytes());
    }
    Ok(Some(Span { records, digest: Digest(digest), next }))
}

/// The record that ends a span of so many; `None` when there are fewer.
async fn last(
    conn: &mut Conn,
    dataset: &Dataset,
    relation: &Relation,
    from: Option<&Frontier>,
    records: usize,
) -> Result<Option<Frontier>, PortError> {
    let from = from.map(|f| Key::new(&f.0));
    let after = from.as_ref().map(|k| key::decode(k).1).unwrap_or_default();
    let values: Vec<Option<&[u8]>> = after.iter().map(|v| Some(*v)).collect();
    let sql = statements::key_number(relation, from.is_none(), records.max(1));
    let rows = conn.query_with(&sql, &values).await?;
    Ok(rows.first().map(|row| {
        let parts = row.values().iter().map(|v| v.as_deref().unwrap_or_default());
        Frontier(Arc::from(key::encode(dataset, parts).as_bytes()))
    }))
}
