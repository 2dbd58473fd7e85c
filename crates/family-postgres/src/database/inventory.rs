//! What there is to move: tables and roots of partitions, with estimates.

use family::{Inventory, PortError};

use super::relation::MOVING;
use crate::conn::Conn;
use crate::key;
use crate::sql::qualified;

/// Up to this size a table is counted where the server has no estimate.
const COUNT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What a row is taken for in a larger table without an estimate.
const ROW_BYTES: u64 = 100;

/// Tables that move, by name. `t.oid` is the table, `l` each that holds rows of it.
pub(crate) fn tables_sql() -> String {
    format!(
        "SELECT n.nspname, c.relname, \
         coalesce(sum(pg_total_relation_size(l.oid)), 0)::bigint, \
         CASE WHEN min(l.reltuples) < 0 THEN -1 ELSE coalesce(sum(l.reltuples), 0) END::bigint \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN LATERAL (SELECT c.oid, c.reltuples WHERE c.relkind = 'r' UNION ALL \
           SELECT p.relid, x.reltuples FROM pg_partition_tree(c.oid) p \
           JOIN pg_class x ON x.oid = p.relid WHERE c.relkind = 'p' AND p.isleaf) l ON true \
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' \
         AND {MOVING} AND NOT EXISTS (SELECT FROM pg_depend d \
           WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
         GROUP BY 1, 2 ORDER BY 1, 2"
    )
}

pub(super) async fn inventory(conn: &mut Conn) -> Result<Vec<Inventory>, PortError> {
    let mut found = Vec::new();
    for row in conn.query(&tables_sql()).await? {
        let (schema, name) = (row.text(0)?, row.text(1)?);
        let (bytes, estimate): (u64, i64) = (row.number(2)?, row.number(3)?);
        let records = match u64::try_from(estimate) {
            // Servers before 14 say 0 of a table they never looked at.
            Ok(estimate) if estimate > 0 => estimate,
            _ if bytes <= COUNT_BYTES_MAX => {
                let count = format!("SELECT count(*) FROM {}", qualified(schema, name));
                conn.query_one(&count).await?.number(0)?
            }
            _ => bytes / ROW_BYTES,
        };
        found.push(Inventory { dataset: key::dataset(schema, name), records, bytes });
    }
    Ok(found)
}
