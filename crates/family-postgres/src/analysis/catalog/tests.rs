use super::*;

fn empty() -> Vec<Vec<Row>> {
    Catalog::QUERIES.iter().map(|_| Vec::new()).collect()
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    assert!(Catalog::from_rows(&empty()).is_ok());
    let fewer = Catalog::from_rows(&empty()[1..]).map(drop);
    assert_eq!(fewer, Err(CatalogError::Answers { expected: 12, got: 11 }));
    for (number, query) in Catalog::QUERIES.iter().enumerate() {
        // A column too few, and nothing where something must be.
        for row in [vec![None; query.columns - 1], vec![None; query.columns]] {
            let mut answers = empty();
            answers[number].push(row);
            let error = Catalog::from_rows(&answers).map(drop).expect_err("does not fit");
            assert!(matches!(error, CatalogError::Row { query: q, row: 0, .. } if q == query.name));
        }
    }
}
