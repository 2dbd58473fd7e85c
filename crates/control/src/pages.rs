//! The explain pages of error codes, embedded.

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../docs/errors"]
struct Pages;

/// The page of a code.
pub(crate) fn page(code: &str) -> Option<String> {
    let safe = code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let file = safe.then(|| Pages::get(&format!("{code}.md"))).flatten()?;
    String::from_utf8(file.data.into_owned()).ok()
}
