//! Documents of the API, for people. Every word that others chose passes [`crate::text::clean`].

pub(crate) mod checks;
pub(crate) mod data;
pub(crate) mod events;
pub(crate) mod fleet;
pub(crate) mod outcome;
pub(crate) mod people;
pub(crate) mod status;
pub(crate) mod traffic;

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::term::Io;
use crate::text::clean;

/// `path<TAB>value` lines of any document, for pipes.
pub(crate) fn plain(io: &mut Io<'_>, document: &impl Serialize) -> io::Result<()> {
    let value = serde_json::to_value(document).map_err(io::Error::other)?;
    let mut lines = Vec::new();
    flatten(String::new(), &value, &mut lines);
    for line in lines {
        writeln!(io.out, "{line}")?;
    }
    Ok(())
}

fn flatten(path: String, value: &Value, lines: &mut Vec<String>) {
    let join =
        |name: &str| if path.is_empty() { clean(name) } else { format!("{path}.{}", clean(name)) };
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| flatten(join(k), v, lines)),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, v)| flatten(join(&i.to_string()), v, lines));
        }
        Value::String(text) => lines.push(format!("{path}\t{}", clean(text))),
        Value::Null => lines.push(format!("{path}\t")),
        other => lines.push(format!("{path}\t{other}")),
    }
}

/// Labelled lines: `name        value`.
pub(crate) fn facts(io: &mut Io<'_>, facts: &[(&str, String)]) -> io::Result<()> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let paint = io.paint();
    for (name, value) in facts {
        writeln!(io.out, "{}{}", paint.bold(&format!("{name:<width$}")), clean(value))?;
    }
    Ok(())
}
