//! How an answer is written: for people as tables and lines, for programs as documents.

use std::io;

use serde_json::Value;

use crate::term::Io;

/// The forms of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: columns fitted to the terminal.
    #[default]
    Table,
    /// For people: nothing cut, more columns.
    Wide,
    /// For pipes: tab-separated fields, no headings, no marks.
    Plain,
    /// One indented document.
    Json,
    /// One line per element of a list, or one line.
    Jsonl,
    /// One YAML document.
    Yaml,
}

/// The forms that write the server's document unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    Json,
    Jsonl,
    Yaml,
}

impl Format {
    /// The document form, unless this one is for people or pipes.
    pub(crate) fn document(self) -> Option<Document> {
        match self {
            Self::Json => Some(Document::Json),
            Self::Jsonl => Some(Document::Jsonl),
            Self::Yaml => Some(Document::Yaml),
            Self::Table | Self::Wide | Self::Plain => None,
        }
    }

    /// Whether errors should be JSON as well.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

impl Document {
    /// Writes the document. A list of `jsonl` gives one line per element.
    pub(crate) fn write(self, io: &mut Io<'_>, value: &Value) -> io::Result<()> {
        match self {
            Self::Json => writeln!(io.out, "{value:#}")?,
            Self::Jsonl => {
                for line in lines(value) {
                    writeln!(io.out, "{line}")?;
                }
            }
            Self::Yaml => {
                let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
                io.out.write_all(text.as_bytes())?;
            }
        }
        io.out.flush()
    }
}

/// The elements of a list answer: an array, a page's `items`, or either as an envelope's `data`.
fn lines(value: &Value) -> Vec<&Value> {
    let inner = value.get("data").unwrap_or(value);
    match inner.get("items").unwrap_or(inner) {
        Value::Array(items) => items.iter().collect(),
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_give_a_line_per_element_and_documents_one() {
        assert_eq!(lines(&json!([1, 2])).len(), 2);
        assert_eq!(lines(&json!({"data": [1, 2, 3]})).len(), 3);
        assert_eq!(lines(&json!({"data": {"items": [1], "next": "x"}})).len(), 1);
        let document = json!({"data": {"a": 1}});
        assert_eq!(lines(&document), [&document]);
    }
}
