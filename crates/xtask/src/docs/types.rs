//! Reads structs, enums and their comments out of formatted Rust sources.
//!
//! Not a parser of Rust: it relies on rustfmt's layout (one field a line, four spaces), which CI
//! holds.

use std::collections::BTreeMap;

/// A field or a variant with its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// As written; empty for a variant.
    pub(crate) kind: String,
    pub(crate) doc: String,
}

/// A type with its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Type {
    /// The key that tells an enum's variants apart; nothing for a struct.
    pub(crate) tag: Option<String>,
    /// Of an enum: the variants.
    pub(crate) variants: Vec<Field>,
    /// Fields, of all variants for an enum.
    pub(crate) fields: Vec<Field>,
}

/// Every struct and every tagged enum of a source, by name.
pub(crate) fn types(text: &str) -> BTreeMap<String, Type> {
    let mut found = BTreeMap::new();
    let mut open: Option<(String, Type)> = None;
    let (mut doc, mut tag) = (String::new(), None);
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix("///") {
            push_words(&mut doc, comment.trim());
            continue;
        }
        if trimmed.starts_with("#[") {
            tag = tag.or_else(|| tag_in(trimmed));
            continue;
        }
        if let Some((name, one)) = &mut open {
            if line == "}" {
                found.insert(name.clone(), std::mem::take(one));
                open = None;
            } else if let Some(field) = field(trimmed, &doc) {
                one.fields.push(field);
            } else if let (Some(_), Some(variant)) = (&one.tag, variant(line, &doc)) {
                one.variants.push(variant);
            }
        } else if let Some(name) = opened(trimmed) {
            open = Some((name, Type { tag: tag.take(), ..Type::default() }));
        }
        doc.clear();
        tag = None;
    }
    found
}

/// Wire names of closed sets: `pub enum Name ("what") { Variant => "wire", … }`.
pub(crate) fn words(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub enum ")
            && line.ends_with("\") {")
        {
            open = rest.split_whitespace().next().map(str::to_owned);
        } else if line == "}" {
            open = None;
        } else if let (Some(name), Some((_, wire))) = (&open, line.split_once(" => \"")) {
            let wire = wire.trim_end_matches("\",").to_owned();
            found.entry(name.clone()).or_default().push(wire);
        }
    }
    found
}

fn opened(line: &str) -> Option<String> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    Some(rest.strip_suffix(" {")?.to_owned())
}

fn field(line: &str, doc: &str) -> Option<Field> {
    let (name, kind) = line.strip_prefix("pub ").unwrap_or(line).split_once(": ")?;
    let kind = kind.strip_suffix(',')?;
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let named = name.chars().all(snake);
    named.then(|| Field { name: name.to_owned(), kind: kind.to_owned(), doc: doc.to_owned() })
}

fn variant(line: &str, doc: &str) -> Option<Field> {
    let name = line.strip_prefix("    ")?.trim_end_matches([',', '{', ' ']);
    let plain = name.starts_with(|c: char| c.is_ascii_uppercase());
    let plain = plain && name.chars().all(char::is_alphanumeric);
    plain.then(|| Field { name: snake(name), kind: String::new(), doc: doc.to_owned() })
}

fn tag_in(attribute: &str) -> Option<String> {
    let (_, rest) = attribute.split_once("tag = \"")?;
    Some(rest.split('"').next()?.to_owned())
}

/// `VerifyFull` as `verify_full`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn push_words(doc: &mut String, more: &str) {
    if !doc.is_empty() {
        doc.push(' ');
    }
    doc.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_carry_their_comments() {
        let text = "/// A thing.\npub struct Thing {\n    /// How many,\n    /// at most.\n    \
            #[serde(default)]\n    pub count: Option<u32>,\n}\n";
        let found = types(text);
        let field = &found["Thing"].fields[0];
        assert_eq!((field.name.as_str(), field.kind.as_str()), ("count", "Option<u32>"));
        assert_eq!(field.doc, "How many, at most.");
    }

    #[test]
    fn a_tagged_enum_has_variants_and_their_fields() {
        let text = "#[serde(tag = \"mode\")]\npub enum Tls {\n    /// Plain.\n    Disable,\n    \
            /// Checked.\n    VerifyFull {\n        /// Where from.\n        ca: Option<PathBuf>,\n    },\n}\n";
        let tls = &types(text)["Tls"];
        let names: Vec<_> = tls.variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["disable", "verify_full"]);
        assert_eq!(tls.fields[0].name, "ca");
    }

    #[test]
    fn closed_sets_of_words_are_read() {
        let text = "wire_names! {\n    pub enum Side (\"side\") {\n        /// A.\n        \
            Source => \"source\",\n        Target => \"target\",\n    }\n}\n";
        assert_eq!(words(text)["Side"], ["source", "target"]);
    }
}
