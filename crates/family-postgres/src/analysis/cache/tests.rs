use super::*;
use crate::analysis::{Analyzer, Catalog};

#[test]
fn the_same_text_is_judged_once() {
    let analyzer = Analyzer::new(64);
    let first = analyzer.analyze(b"SELECT 1");
    assert!(Arc::ptr_eq(&first, &analyzer.analyze(b"SELECT 1")));
    assert!(!Arc::ptr_eq(&first, &analyzer.analyze(b"SELECT 2")));
}

#[test]
fn another_catalog_is_another_judgement() {
    let analyzer = Analyzer::new(64);
    let before = analyzer.analyze(b"SELECT 1");
    analyzer.set_catalog(Some(Arc::new(Catalog::default())));
    let after = analyzer.analyze(b"SELECT 1");
    assert!(!Arc::ptr_eq(&before, &after));
    assert!(Arc::ptr_eq(&after, &analyzer.analyze(b"SELECT 1")));
}

#[test]
fn a_late_judgement_does_not_replace_a_newer_one() {
    let cache = Cache::new(64);
    let place = Cache::place(b"x");
    let analysis = || {
        Arc::new(crate::analysis::analyze(b"SELECT 1", None, crate::analysis::Backslash::Literal))
    };
    let newer = analysis();
    cache.put(place, b"x", 2, &newer);
    cache.put(place, b"x", 1, &analysis());
    let found = cache.get(place, b"x", 2).expect("still there");
    assert!(Arc::ptr_eq(&found, &newer));
    assert!(cache.get(place, b"x", 1).is_none());
}

#[test]
fn texts_of_one_hash_are_told_apart() {
    let cache = Cache::new(64);
    let place = Place(42);
    let analysis =
        Arc::new(crate::analysis::analyze(b"SELECT 1", None, crate::analysis::Backslash::Literal));
    cache.put(place, b"one", 0, &analysis);
    assert!(cache.get(place, b"one", 0).is_some());
    assert!(cache.get(place, b"two", 0).is_none());
}

#[test]
fn it_stays_within_its_bound_and_keeps_what_is_used() {
    let cache = Cache::new(64);
    let analysis =
        Arc::new(crate::analysis::analyze(b"SELECT 1", None, crate::analysis::Backslash::Literal));
    let texts: Vec<_> = (0..10_000).map(|n| format!("SELECT {n}").into_bytes()).collect();
    for text in &texts {
        cache.put(Cache::place(text), text, 0, &analysis);
        // Asked for all the time, so it never gives way.
        let _ = cache.get(Cache::place(&texts[0]), &texts[0], 0);
    }
    let kept = texts.iter().filter(|text| cache.get(Cache::place(text), text, 0).is_some());
    assert_eq!(kept.count(), 64);
    assert!(cache.get(Cache::place(&texts[0]), &texts[0], 0).is_some());
}

#[test]
fn large_texts_are_not_kept() {
    let analyzer = Analyzer::new(64);
    let sql = format!("SELECT '{}'", "x".repeat(20_000));
    let first = analyzer.analyze(sql.as_bytes());
    assert_eq!(first.whole.access, crate::analysis::Access::Read);
    assert!(!Arc::ptr_eq(&first, &analyzer.analyze(sql.as_bytes())));
}
