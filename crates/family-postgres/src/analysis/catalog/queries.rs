//! The questions a snapshot is made of. PostgreSQL 12 to 18 answer them alike.

use super::model::Catalog;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogQuery {
    /// What it is about.
    pub name: &'static str,
    /// Its text; every column of the answer is text or NULL.
    pub sql: &'static str,
    /// How many columns the answer has.
    pub columns: usize,
}

impl Catalog {
    /// Runs before the queries: one instant for all of them, and names that mean PostgreSQL's.
    pub const BEGIN: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL search_path = pg_catalog, pg_temp";
    /// Runs after them.
    pub const END: &'static str = "COMMIT";
    /// The queries, in the order [`Catalog::from_rows`] expects their answers in.
    pub const QUERIES: &'static [CatalogQuery] = &[
        FUNCTIONS,
        OPERATORS,
        CASTS,
        TYPES,
        CHECKS,
        RELATIONS,
        DEFAULTS,
        KEYS,
        FOREIGN_KEYS,
        POLICIES,
        CHILDREN,
        TRIGGERS,
    ];
}

/// Schema, name, worst volatility, opaque, callable with one argument, whether a stable one has
/// a body that nobody can look into, the bodies of stable ones in SQL, whether a volatile one has
/// such a body, the bodies of volatile ones, whether all are in C or the server's own. An aggregate is as volatile as
/// the functions it is made of, whatever it says itself.
const FUNCTIONS: CatalogQuery = CatalogQuery {
    name: "functions",
    columns: 10,
    sql: "SELECT n.nspname::text, p.proname::text, \
          pg_catalog.max(CASE \
            WHEN p.provolatile = 'v' THEN 'v' \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc q \
              ON q.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, \
                a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn) \
              WHERE a.aggfnoid = p.oid AND q.provolatile = 'v') THEN 'v' \
            WHEN p.provolatile = 's' THEN 's' ELSE 'i' END), \
          pg_catalog.bool_or(l.lanname NOT IN ('internal', 'c', 'sql', 'plpgsql'))::text, \
          pg_catalog.bool_or(p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1)::text, \
          pg_catalog.bool_or(p.provolatile = 's' AND (l.lanname NOT IN ('internal', 'c', 'sql') \
            OR l.lanname = 'sql' AND p.prosrc = ''))::text, \
          pg_catalog.string_agg(p.prosrc, ';') FILTER (WHERE p.provolatile = 's' \
            AND l.lanname = 'sql' AND n.nspname <> 'pg_catalog'), \
          pg_catalog.bool_or(p.provolatile = 'v' AND p.prokind <> 'a' \
            AND (l.lanname NOT IN ('sql', 'plpgsql') OR p.prosrc = ''))::text, \
          pg_catalog.string_agg(p.prosrc, ';') FILTER (WHERE p.provolatile = 'v' \
            AND l.lanname IN ('sql', 'plpgsql') AND n.nspname <> 'pg_catalog'), \
          pg_catalog.bool_and(l.lanname IN ('c', 'internal'))::text \
          FROM pg_catalog.pg_proc p \
          JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
          JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
          GROUP BY 1, 2",
};

/// Schema, name, worst volatility: those that PostgreSQL did not bring.
const OPERATORS: CatalogQuery = CatalogQuery {
    name: "operators",
    columns: 3,
    sql: "SELECT n.nspname::text, o.oprname::text, pg_catalog.max(p.provolatile::text) \
          FROM pg_catalog.pg_operator o \
          JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
          JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode \
          WHERE n.nspname <> 'pg_catalog' GROUP BY 1, 2",
};

/// How many casts have a volatile function.
const CASTS: CatalogQuery = CatalogQuery {
    name: "casts",
    columns: 1,
    sql: "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_cast c \
          JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc WHERE p.provolatile = 'v'",
};

/// Number, schema, name, kind, inner type, volatility of the input function.
const TYPES: CatalogQuery = CatalogQuery {
    name: "types",
    columns: 6,
    sql: "SELECT t.oid::text, n.nspname::text, t.typname::text, \
          CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' THEN 'a' \
            ELSE t.typtype::text END, \
          CASE WHEN t.typtype = 'd' THEN t.typbasetype \
            WHEN r.rngsubtype IS NOT NULL THEN r.rngsubtype ELSE t.typelem END::text, \
          COALESCE(p.provolatile::text, 'v') \
          FROM pg_catalog.pg_type t \
          JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
          LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid \
          LEFT JOIN pg_catalog.pg_proc p ON p.oid = t.typinput",
};

/// Number of the domain, one of its checks.
const CHECKS: CatalogQuery = CatalogQuery {
    name: "checks",
    columns: 2,
    sql: "SELECT c.contypid::text, pg_catalog.pg_get_expr(c.conbin, 0) \
          FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0 AND c.contype = 'c'",
};

/// Number, schema, name, kind, persistence, triggers, rules, row security, query of a view.
const RELATIONS: CatalogQuery = CatalogQuery {
    name: "relations",
    columns: 9,
    sql: "SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, \
          c.relpersistence::text, \
          EXISTS (SELECT FROM pg_catalog.pg_trigger t \
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)::text, \
          EXISTS (SELECT FROM pg_catalog.pg_rewrite w \
            WHERE w.ev_class = c.oid AND w.ev_type <> '1')::text, \
          c.relrowsecurity::text, \
          CASE WHEN c.relkind = 'v' THEN pg_catalog.pg_get_viewdef(c.oid) END \
          FROM pg_catalog.pg_class c \
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
            AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
            AND NOT pg_catalog.pg_is_other_temp_schema(n.oid)",
};

/// Number of the relation, column, expression (NULL for an identity).
const DEFAULTS: CatalogQuery = CatalogQuery {
    name: "defaults",
    columns: 3,
    sql: "SELECT a.attrelid::text, a.attname::text, \
          CASE WHEN a.attidentity = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END \
          FROM pg_catalog.pg_attribute a \
          JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
          WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
            AND (d.oid IS NOT NULL OR a.attidentity <> '') \
            AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
};

/// Number of the relation, number of the index, column: one row per column of each unique key
/// that is checked at once and holds for every row.
const KEYS: CatalogQuery = CatalogQuery {
    name: "keys",
    columns: 3,
    sql: "SELECT i.indrelid::text, i.indexrelid::text, a.attname::text \
          FROM pg_catalog.pg_index i \
          JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
          WHERE i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL \
            AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
            AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
          ORDER BY i.indexrelid, k.place",
};

/// Referencing table, referenced table, what a delete does, what an update does.
const FOREIGN_KEYS: CatalogQuery = CatalogQuery {
    name: "foreign_keys",
    columns: 4,
    sql: "SELECT c.conrelid::text, c.confrelid::text, c.confdeltype::text, c.confupdtype::text \
          FROM pg_catalog.pg_constraint c WHERE c.contype = 'f'",
};

/// Number of the relation, condition, check: of every policy.
const POLICIES: CatalogQuery = CatalogQuery {
    name: "policies",
    columns: 3,
    sql: "SELECT p.polrelid::text, pg_catalog.pg_get_expr(p.polqual, p.polrelid), \
          pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_catalog.pg_policy p",
};

/// Parent, child.
const CHILDREN: CatalogQuery = CatalogQuery {
    name: "children",
    columns: 2,
    sql: "SELECT i.inhparent::text, i.inhrelid::text FROM pg_catalog.pg_inherits i",
};

/// Relation, schema and name of a function that one of its triggers calls.
const TRIGGERS: CatalogQuery = CatalogQuery {
    name: "triggers",
    columns: 3,
    sql: "SELECT t.tgrelid::text, n.nspname::text, p.proname::text \
          FROM pg_catalog.pg_trigger t \
          JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
          JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT t.tgisinternal",
};
