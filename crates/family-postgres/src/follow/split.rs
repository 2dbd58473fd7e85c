//! How a table is cut for copying in parallel.

use std::sync::Arc;

use family::{FillPart, PortError};
use model::{ConflictPolicy, Dataset};

use super::keytext::{self, Bounds};
use super::names::SCHEMA;
use super::order::KeyText;
use super::ours;
use super::shared::{Shared, Work};
use super::table::Table;
use crate::sql::literal;

/// Rows that are looked at to find where to cut.
const SAMPLE_ROWS: u64 = 10_000;
/// Chunks that a part has at least: a smaller one is not worth its own connections.
const CHUNKS_MIN: u64 = 2;

/// The parts of a dataset; the same until they are copied, because they are kept on the other side.
pub(crate) async fn split(
    shared: &Arc<Shared>,
    dataset: &Dataset,
    most: usize,
) -> Result<Vec<FillPart>, PortError> {
    ours::adopt(shared).await?;
    let table = shared.table(dataset)?;
    let mut to = shared.connect(&shared.to, Work::Ask).await?;
    let mine = format!("{} AND dataset = {}", ours::mine(&shared.names), literal(dataset.as_str()));
    let kept =
        format!("SELECT lower, upper, records FROM {SCHEMA}.part WHERE {mine} ORDER BY number");
    let mut rows = to.query(&kept).await?;
    if rows.is_empty() {
        let bounds = cut(shared, &table, most).await?;
        let values: Vec<String> = bounds
            .iter()
            .enumerate()
            .map(|(number, part)| {
                format!(
                    "({}, '{}', {}, {number}, {}, {}, {})",
                    literal(&shared.names.run),
                    shared.names.direction,
                    literal(dataset.as_str()),
                    keytext::array(part.lower.as_ref()),
                    keytext::array(part.upper.as_ref()),
                    table.rows / bounds.len().max(1) as u64
                )
            })
            .collect();
        // Whoever comes first decides, all parts at once.
        let sql = format!(
            "INSERT INTO {SCHEMA}.part (run, direction, dataset, number, lower, upper, records) \
             SELECT * FROM (VALUES {}) v WHERE NOT EXISTS (SELECT FROM {SCHEMA}.part WHERE {mine})",
            values.join(", ")
        );
        to.execute(&sql).await?;
        rows = to.query(&kept).await?;
    }
    let mut parts = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let bound = |column| row.opt(column).map(|text| text.map(keytext::parse));
        let bounds = Bounds { lower: bound(0)?, upper: bound(1)? };
        let records = row.number(2)?;
        parts.push(FillPart { dataset: dataset.clone(), index, records, bounds: bounds.encode() });
    }
    to.close().await;
    Ok(parts)
}

async fn cut(shared: &Shared, table: &Table, most: usize) -> Result<Vec<Bounds>, PortError> {
    let worth = table.rows / (CHUNKS_MIN * shared.chunk_rows(table)).max(1);
    let count = most.min(usize::try_from(worth).unwrap_or(usize::MAX)).max(1);
    // Rows on the target are deleted by range there, which may order keys otherwise.
    let careful = shared.spec.conflict == ConflictPolicy::Overwrite && !table.order().is_known();
    if count == 1 || table.key.is_empty() || careful {
        return Ok(vec![Bounds::default()]);
    }
    let mut from = shared.connect(&shared.from, Work::Ask).await?;
    let percent = (SAMPLE_ROWS as f64 * 100.0 / table.rows.max(1) as f64).clamp(0.0001, 100.0);
    let names: Vec<String> = table.key_columns().map(|column| column.quoted()).collect();
    let names = names.join(", ");
    let sql = format!(
        "SELECT {names} FROM {} TABLESAMPLE SYSTEM ({percent}) ORDER BY {names}",
        table.only()
    );
    let mut sample = Vec::new();
    for row in from.query(&sql).await? {
        let key: Result<KeyText, _> =
            (0..table.key.len()).map(|at| row.text(at).map(str::to_owned)).collect();
        sample.push(key?);
    }
    from.close().await;
    Ok(quantiles(sample, count))
}

/// Bounds of `count` parts, fewer where keys repeat.
fn quantiles(mut sample: Vec<KeyText>, count: usize) -> Vec<Bounds> {
    sample.dedup();
    let mut cuts: Vec<KeyText> =
        (1..count).filter_map(|n| sample.get(sample.len() * n / count).cloned()).collect();
    cuts.dedup();
    let mut parts = Vec::new();
    let mut lower = None;
    for upper in cuts {
        parts.push(Bounds { lower: lower.replace(upper.clone()), upper: Some(upper) });
    }
    parts.push(Bounds { lower, upper: None });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_touch_and_leave_nothing_out() {
        let sample: Vec<KeyText> = (0..100).map(|n| vec![n.to_string()]).collect();
        for (sample, count) in [(sample.clone(), 4), (sample[..2].to_vec(), 4), (Vec::new(), 3)] {
            let parts = quantiles(sample, count);
            assert!(parts.len() <= count && parts[0].lower.is_none());
            assert!(parts.last().unwrap().upper.is_none());
            for pair in parts.windows(2) {
                assert!(pair[0].upper.is_some() && pair[0].upper == pair[1].lower);
            }
        }
        assert_eq!(quantiles(sample, 4)[1].lower, Some(vec!["25".to_owned()]));
    }
}
