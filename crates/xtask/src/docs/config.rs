//! The tables of the configuration page, from the comments of the types that read it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::types::{Field, Type, types, words};
use crate::tidy::tree::Tree;

/// The document may be spread over several files of this folder.
const FOLDER: &str = "crates/control/src/config/";
const ROOT: &str = "Document";

struct Known {
    types: BTreeMap<String, Type>,
    words: BTreeMap<String, Vec<String>>,
}

/// The scalars of the document, then one table for each section.
pub(crate) fn tables(tree: &Tree) -> Option<String> {
    let known = Known {
        types: tree
            .sources("control")
            .filter(|file| file.path.starts_with(FOLDER))
            .flat_map(|file| types(&file.text))
            .collect(),
        words: ["model", "workflow"]
            .iter()
            .flat_map(|name| tree.sources(name))
            .flat_map(|file| words(&file.text))
            .collect(),
    };
    let root = known.types.get(ROOT)?;
    let mut out = String::from("| key | takes | |\n|---|---|---|\n");
    let (sections, scalars): (Vec<_>, Vec<_>) =
        root.fields.iter().partition(|f| known.inner(&f.kind).is_some());
    for field in &scalars {
        row(&mut out, &known, "", field);
    }
    let mut shown: Vec<&Field> = Vec::new();
    for field in sections {
        let _ = write!(out, "\n## `{}`\n\n{}\n\n", field.name, field.doc);
        if let Some(same) = shown.iter().find(|s| bare(&s.kind) == bare(&field.kind)) {
            let _ = writeln!(out, "The keys of [`{0}`](#{0}).", same.name);
            continue;
        }
        shown.push(field);
        out.push_str("| key | takes | |\n|---|---|---|\n");
        fields(&mut out, &known, &prefix(&field.kind), known.inner(&field.kind)?);
    }
    Some(out)
}

fn fields(out: &mut String, known: &Known, prefix: &str, of: &Type) {
    if let Some(tag) = &of.tag {
        let names: Vec<_> = of.variants.iter().map(|v| format!("`{}`", v.name)).collect();
        let docs: Vec<_> =
            of.variants.iter().map(|v| format!("`{}`: {}", v.name, lower(&v.doc))).collect();
        let _ = writeln!(out, "| `{prefix}{tag}` | {} | {} |", names.join(", "), docs.join(" "));
    }
    let mut seen = Vec::new();
    for field in &of.fields {
        if !seen.contains(&field.name.as_str()) {
            seen.push(&field.name);
            row(out, known, prefix, field);
        }
    }
}

fn row(out: &mut String, known: &Known, prefix: &str, field: &Field) {
    let key = format!("{prefix}{}", field.name);
    match known.inner(&field.kind) {
        Some(inner) => {
            let _ = writeln!(out, "| `{key}` | {} | {} |", container(&field.kind), field.doc);
            fields(out, known, &format!("{key}{}.", suffix(&field.kind)), inner);
        }
        None => {
            let takes = known.takes(&field.kind);
            let _ = writeln!(out, "| `{key}` | {takes} | {} |", field.doc);
        }
    }
}

impl Known {
    /// The struct a field holds, inside its option, list or map.
    fn inner(&self, kind: &str) -> Option<&Type> {
        self.types.get(bare(kind))
    }

    fn takes(&self, kind: &str) -> String {
        if let Some(inner) = wrapped(kind, "Option") {
            return self.takes(inner);
        }
        if let Some(inner) = wrapped(kind, "Vec") {
            return format!("list of {}", self.takes(inner));
        }
        if let Some(name) = wrapped(kind, "Word") {
            let names = self.words.get(name).map(Vec::as_slice).unwrap_or_default();
            return names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        }
        match kind {
            "bool" => "`true`, `false`",
            "String" => "text",
            "Span" => "time",
            "Secret" => "reference",
            "f64" => "number",
            "std::net::SocketAddr" => "`address:port`",
            "std::path::PathBuf" => "file",
            number if number.starts_with(['u', 'i']) => "whole number",
            map if map.starts_with("BTreeMap<") => "values by name",
            _ => "value",
        }
        .to_owned()
    }
}

/// The innermost type of an option, a list or a map.
fn bare(kind: &str) -> &str {
    kind.trim_end_matches('>').rsplit(['<', ' ']).next().unwrap_or(kind)
}

fn wrapped<'a>(kind: &'a str, outer: &str) -> Option<&'a str> {
    kind.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>')
}

/// How a key inside a list or a map is written.
fn suffix(kind: &str) -> &'static str {
    match kind {
        list if list.starts_with("Vec<") => "[]",
        map if map.starts_with("BTreeMap<") => ".NAME",
        _ => "",
    }
}

fn prefix(kind: &str) -> String {
    match suffix(kind) {
        "" => String::new(),
        "[]" => "[].".to_owned(),
        name => format!("{}.", name.trim_start_matches('.')),
    }
}

fn container(kind: &str) -> &'static str {
    match suffix(kind) {
        "[]" => "list",
        ".NAME" => "by name",
        _ => "section",
    }
}

fn lower(doc: &str) -> String {
    let mut chars = doc.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pub struct Document {\n    /// Its name.\n    pub migration: String,\n    \
        /// How traffic moves.\n    pub strategy: Strategy,\n}\npub struct Strategy {\n    \
        /// The side.\n    pub side: Option<Word<Side>>,\n    /// Clients.\n    pub pins: Vec<Pin>,\n}\n\
        pub struct Pin {\n    /// Who.\n    pub name: String,\n}\n";
    const WORDS: &str = "    pub enum Side (\"side\") {\n        Source => \"source\",\n    }\n";

    #[test]
    fn scalars_sections_lists_and_words() {
        let tree = Tree::of(&[
            ("crates/control/src/config/document.rs", TEXT),
            ("crates/model/src/side.rs", WORDS),
        ]);
        let made = tables(&tree).unwrap();
        assert!(made.contains("| `migration` | text | Its name. |"), "{made}");
        assert!(made.contains("## `strategy`\n\nHow traffic moves."), "{made}");
        assert!(made.contains("| `side` | `source` | The side. |"), "{made}");
        assert!(made.contains("| `pins[].name` | text | Who. |"), "{made}");
    }

    #[test]
    fn without_its_source_nothing_is_made() {
        assert_eq!(tables(&Tree::of(&[])), None);
    }
}
