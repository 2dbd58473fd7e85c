use super::*;
use crate::analysis::{Backslash, analyze};

#[test]
fn without_a_catalog_little_is_believed() {
    let listing =
        listing(include_str!("plain.sql"), |sql| analyze(sql.as_bytes(), None, Backslash::Literal));
    insta::assert_snapshot!("plain", listing);
}

#[tokio::test]
async fn with_a_catalog_names_mean_something() {
    let catalog = Shop::open().catalog().await;
    let listing = listing(include_str!("shop.sql"), |sql| {
        analyze(sql.as_bytes(), Some(&catalog), Backslash::Literal)
    });
    insta::assert_snapshot!("shop", listing);
}
