//! The guide's table of states and verbs is what the code does.

use std::path::Path;

#[test]
fn the_guide_shows_the_table_of_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/states.md");
    let made = workflow::docs_table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &made).expect("the guide can be written");
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(written == made, "docs/guide/states.md is old: UPDATE=1 cargo test -p workflow");
}
