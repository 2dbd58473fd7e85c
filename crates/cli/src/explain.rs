//! `exodus explain CODE`: the pages of `docs/errors`, embedded in the binary.

use crate::error::{Failure, Outcome};
use crate::exit::Exit;
use crate::output::Format;
use crate::term::{Io, Paint};

/// Code and page, sorted by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Prints one page, or with no code the list of all of them.
pub(crate) fn run(io: &mut Io<'_>, format: Format, code: Option<&str>) -> Outcome {
    match code {
        Some(code) => page(io, format, code),
        None => list(io, format),
    }
}

fn page(io: &mut Io<'_>, format: Format, code: &str) -> Outcome {
    let wanted = code.to_ascii_uppercase();
    let wanted = if wanted.starts_with("EXO-") { wanted } else { format!("EXO-{wanted}") };
    let Some((code, text)) = PAGES.iter().find(|(c, _)| *c == wanted) else {
        return Err(unknown(&wanted));
    };
    match format.document() {
        Some(document) => {
            let value = serde_json::json!({"code": code, "title": title(text), "page": text});
            document.write(io, &value)?;
        }
        None => write!(io.out, "{}", render(text, io.paint()))?,
    }
    Ok(Exit::Done)
}

fn list(io: &mut Io<'_>, format: Format) -> Outcome {
    match format.document() {
        Some(document) => {
            let codes =
                PAGES.iter().map(|(c, t)| serde_json::json!({"code": c, "title": title(t)}));
            document.write(io, &serde_json::json!({"codes": codes.collect::<Vec<_>>()}))?;
        }
        None => {
            for (code, text) in PAGES {
                writeln!(io.out, "{code}  {}", title(text))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn unknown(wanted: &str) -> Failure {
    let near = nearest(wanted, PAGES.iter().map(|(c, _)| *c));
    let fix = near.map_or_else(
        || "`exodus explain` lists every code".to_owned(),
        |near| format!("exodus explain {near}"),
    );
    Failure::new("EXO-CLI-002", Exit::Usage, format!("there is no error code {wanted}")).fix(fix)
}

/// The heading of a page without its code.
fn title(page: &str) -> &str {
    let first = page.lines().next().unwrap_or_default();
    first.split_once(": ").map_or(first, |(_, title)| title)
}

/// Markdown as it is, with headings emphasised on a terminal.
fn render(page: &str, paint: Paint) -> String {
    let mut out = String::with_capacity(page.len());
    for line in page.lines() {
        match line.trim_start_matches('#') {
            heading if heading.len() < line.len() => out.push_str(&paint.bold(heading.trim())),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The candidate with the fewest edits to `wanted`, if it is near at all.
pub(crate) fn nearest<'a>(
    wanted: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = 1 + wanted.chars().count() / 4;
    candidates.map(|c| (edits(wanted, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_own_code_as_title() {
        assert!(!PAGES.is_empty());
        for (code, text) in PAGES {
            assert!(text.starts_with(&format!("# {code}: ")), "{code}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_only_when_near() {
        assert_eq!(
            nearest("EXO-CLI-01", ["EXO-CLI-001", "EXO-TST-001"].into_iter()),
            Some("EXO-CLI-001")
        );
        assert_eq!(nearest("banana", ["EXO-CLI-001"].into_iter()), None);
    }
}
