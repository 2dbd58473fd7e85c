//! What a verdict costs: remembered, and made anew.

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use family_postgres::analysis::{Analyzer, Backslash, Catalog, analyze};

fn main() {
    divan::main();
}

/// Short, usual, and long.
const TEXTS: [(&str, &str); 4] = [
    ("one", "SELECT 1"),
    ("by_key", "SELECT id, name, balance FROM accounts WHERE id = $1"),
    (
        "insert",
        "INSERT INTO orders (account, sku, note, at) VALUES ($1, $2, $3, now()) RETURNING id",
    ),
    (
        "join",
        "WITH recent AS (SELECT account, count(*) AS n FROM orders WHERE at > now() - interval \
         '1 day' GROUP BY account) SELECT a.id, a.name, r.n, coalesce(sum(l.price * l.amount), 0) \
         FROM accounts a JOIN recent r ON r.account = a.id LEFT JOIN orders o ON o.account = a.id \
         LEFT JOIN lines l ON l.order_id = o.id WHERE a.region IN ('a', 'b', 'c') AND l.sku LIKE \
         $1 GROUP BY a.id, a.name, r.n ORDER BY r.n DESC, a.id LIMIT 50",
    ),
];

fn names() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(name, _)| *name)
}

fn text(name: &str) -> &'static [u8] {
    TEXTS.iter().find(|(of, _)| *of == name).map_or(b"", |(_, sql)| sql.as_bytes())
}

fn analyzer() -> Analyzer {
    let analyzer = Analyzer::new(4096);
    analyzer.set_catalog(Some(Arc::new(Catalog::default())));
    analyzer
}

#[divan::bench(args = names())]
fn remembered(bencher: Bencher<'_, '_>, name: &str) {
    let (analyzer, sql) = (analyzer(), text(name));
    analyzer.analyze(sql);
    bencher.bench(|| analyzer.analyze(black_box(sql)));
}

#[divan::bench(args = names(), threads = 2)]
fn remembered_by_two(bencher: Bencher<'_, '_>, name: &str) {
    let (analyzer, sql) = (analyzer(), text(name));
    analyzer.analyze(sql);
    bencher.bench(|| analyzer.analyze(black_box(sql)));
}

#[divan::bench(args = names())]
fn made_anew(bencher: Bencher<'_, '_>, name: &str) {
    let (catalog, sql) = (Catalog::default(), text(name));
    bencher.bench(|| analyze(black_box(sql), Some(&catalog), Backslash::Literal));
}
