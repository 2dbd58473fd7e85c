//! What the database contains that does not move by itself.

use family::{PortError, Severity};
use model::Side;

use super::{Check, Facts, Judged, names, one, shown};
use crate::conn::Row;
use crate::database::relation::{MOVING, USABLE};

/// A sequence with less than a tenth left is near its end.
const SEQUENCE_USED: &str = "0.9";

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let check = |code, sql: String, judge| Check { code, sql, judge };
    let of_class = |select: &str, kinds: &str, and: &str| {
        format!(
            "SELECT {select} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ({kinds}) AND {MOVING} AND {and} ORDER BY 1"
        )
    };
    let name = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)";
    vec![
        check(
            "EXO-PRE-208",
            of_class(
                &format!(
                    "{name}, (SELECT quote_ident(a.attname) FROM pg_attribute a \
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND \
                     (a.attidentity <> '' OR a.attname IN ('id', 'uuid', c.relname || '_id')) \
                     ORDER BY a.attnum LIMIT 1)"
                ),
                "'r', 'p'",
                &format!(
                    "NOT c.relispartition AND c.relpersistence = 'p' AND c.relreplident <> 'f' \
                     AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND {USABLE} \
                       AND i.indimmediate AND (i.indisprimary OR i.indisreplident))"
                ),
            ),
            no_identity,
        ),
        check("EXO-PRE-209", of_class(name, "'r', 'p'", "c.relpersistence = 'u'"), unlogged),
        check("EXO-PRE-210", "SELECT count(*) FROM pg_largeobject_metadata".into(), large_objects),
        check("EXO-PRE-211", of_class(name, "'m'", "true"), materialized),
        check(
            "EXO-PRE-212",
            "SELECT extname || ' ' || extversion FROM pg_extension WHERE extname <> 'plpgsql' \
             ORDER BY 1"
                .into(),
            extensions,
        ),
        check(
            "EXO-PRE-213",
            format!(
                "SELECT {name} || ' (' || k.conname || ')' FROM pg_constraint k \
                 JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE k.condeferrable AND k.contype IN ('p', 'u', 'x') AND {MOVING} ORDER BY 1"
            ),
            deferrable,
        ),
        check(
            "EXO-PRE-214",
            format!(
                "SELECT {name} || ' (' || t.tgname || ')', t.tgenabled FROM pg_trigger t \
                 JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND NOT c.relispartition \
                 AND {MOVING} ORDER BY 1"
            ),
            triggers,
        ),
        check(
            "EXO-PRE-215",
            format!(
                "SELECT {name}, (SELECT rolsuper OR rolbypassrls FROM pg_roles \
                 WHERE rolname = current_user) FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relrowsecurity AND {MOVING} ORDER BY 1"
            ),
            row_security,
        ),
        check(
            "EXO-PRE-216",
            format!(
                "SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) \
                 FROM pg_sequences WHERE NOT cycle AND last_value IS NOT NULL AND \
                 abs(last_value::numeric - CASE WHEN increment_by > 0 THEN min_value ELSE max_value END) \
                 > {SEQUENCE_USED} * (max_value::numeric - min_value) ORDER BY 1"
            ),
            sequences,
        ),
        check("EXO-PRE-219", collations(facts.version), collation_versions),
        check(
            "EXO-PRE-222",
            format!(
                "SELECT 'foreign table ' || {name} FROM pg_class c \
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {MOVING} \
                 UNION ALL SELECT 'subscription ' || s.subname FROM pg_stat_subscription s \
                 JOIN pg_database d ON d.datname = current_database() \
                 WHERE s.subname IS NOT NULL ORDER BY 1"
            ),
            elsewhere,
        ),
    ]
}

/// Collations whose library has changed since they were used: their indexes may be wrong.
fn collations(version: u32) -> String {
    let mut sql = "SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) \
         FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace \
         WHERE l.collversion <> pg_collation_actual_version(l.oid)"
        .to_owned();
    if version >= 150_000 {
        sql.push_str(
            " UNION ALL SELECT 'the database itself' FROM pg_database WHERE \
             datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)",
        );
    }
    sql + " ORDER BY 1"
}

fn no_identity(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let mut remedy = String::new();
    for row in rows.iter().take(super::SHOWN_MAX) {
        let table = row.text(0)?;
        remedy.push_str(&match row.opt(1)? {
            Some(column) => format!("ALTER TABLE {table} ADD PRIMARY KEY ({column});\n"),
            None => format!(
                "ALTER TABLE {table} ADD COLUMN exodus_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;\n"
            ),
        });
    }
    remedy.push_str(
        "-- or, at the price of the whole row in the log: ALTER TABLE … REPLICA IDENTITY FULL;",
    );
    let what = "tables without a usable identity, whose updates and deletes cannot be followed";
    Ok(Judged::list(Severity::Risk, &found, what, remedy))
}

fn unlogged(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let each = found.first().map(|t| format!("ALTER TABLE {t} SET LOGGED;")).unwrap_or_default();
    let remedy = format!("{each} -- or accept that they arrive empty");
    Ok(Judged::list(Severity::Risk, &found, "unlogged tables, of which no log tells", remedy))
}

fn large_objects(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let count: u64 = one(rows)?.number(0)?;
    if count == 0 {
        return Ok(Judged::pass("no large objects"));
    }
    let evidence = format!("{count} large objects, which the logical stream does not carry");
    let remedy = "move them into bytea columns, or copy them while writes are held: \
         pg_dump --large-objects --data-only --exclude-schema='*'";
    Ok(Judged::new(Severity::Risk, evidence, remedy))
}

fn materialized(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let first =
        found.first().map(|v| format!("REFRESH MATERIALIZED VIEW {v};")).unwrap_or_default();
    let what = "materialized views, which are made anew on the target and have to be refreshed";
    Ok(Judged::list(Severity::Advice, &found, what, first))
}

fn extensions(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    if found.is_empty() {
        return Ok(Judged::pass("no extensions besides plpgsql"));
    }
    Ok(Judged::pass(format!("{} extensions: {}", found.len(), shown(&found))))
}

fn deferrable(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let what = "deferrable keys, which are checked by a query before the cutover";
    let remedy =
        "ALTER TABLE … ALTER CONSTRAINT … NOT DEFERRABLE; -- or nothing, if the wait is fine";
    Ok(Judged::list(Severity::Advice, &names(rows)?, what, remedy))
}

/// Triggers that fire for replicated rows too would do their work twice.
fn triggers(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let (mut always, mut plain) = (Vec::new(), 0);
    for row in rows {
        match row.text(1)? {
            "A" | "R" => always.push(row.text(0)?.to_owned()),
            _ => plain += 1,
        }
    }
    if always.is_empty() {
        return Ok(Judged::pass(format!("{plain} triggers, none of which fires for applied rows")));
    }
    let remedy = "ALTER TABLE … ENABLE TRIGGER …; -- instead of ENABLE ALWAYS or ENABLE REPLICA";
    let what = match facts.side {
        Side::Source => "triggers that would fire again on the target",
        Side::Target => "triggers that fire for applied rows",
    };
    Ok(Judged::list(Severity::Risk, &always, what, remedy))
}

fn row_security(facts: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let Some(first) = rows.first() else { return Ok(Judged::pass("no tables with row security")) };
    if first.flag(1)? {
        return Ok(Judged::pass(format!(
            "{} tables with row security; our role sees all rows",
            found.len()
        )));
    }
    let remedy = format!("ALTER ROLE {} BYPASSRLS;", crate::sql::ident(&facts.user));
    let what = "tables with row security, of which our role may not see all rows";
    Ok(Judged::list(Severity::Blocker, &found, what, remedy))
}

fn sequences(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let remedy = match found.first() {
        Some(name) => format!("ALTER SEQUENCE {name} AS bigint MAXVALUE 9223372036854775807;"),
        None => String::new(),
    };
    Ok(Judged::list(Severity::Risk, &found, "sequences with less than a tenth left", remedy))
}

fn collation_versions(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let found = names(rows)?;
    let what = "collations that changed below their indexes";
    let remedy = "REINDEX DATABASE; ALTER DATABASE … REFRESH COLLATION VERSION;";
    Ok(Judged::list(Severity::Risk, &found, what, remedy))
}

fn elsewhere(_: &Facts, rows: &[Row]) -> Result<Judged, PortError> {
    let what = "ties to other systems, which are not moved";
    let remedy =
        "make them on the target by hand after the cutover; ALTER SUBSCRIPTION … DISABLE; before";
    Ok(Judged::list(Severity::Risk, &names(rows)?, what, remedy))
}
