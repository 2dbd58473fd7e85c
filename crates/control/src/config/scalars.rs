use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time: `250ms`, `10s`, `5m`, `72h`, `7d`, or a plain number of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, f)| *f);
        let value = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
        value.map(Self).ok_or_else(|| {
            format!("`{text}` is not a span of time; write for example 250ms, 10s, 5m, 72h or 7d")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |factor: u64| self.0.is_multiple_of(factor) && self.0 >= factor;
        let (unit, factor) =
            UNITS.iter().rev().find(|(_, factor)| fits(*factor)).copied().unwrap_or(UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl de::Visitor<'_> for Visit {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time such as 250ms, 10s, 5m, 72h or 7d")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                match text.parse::<u64>() {
                    Ok(ms) => Ok(Span(ms)),
                    Err(_) => text.parse().map_err(E::custom),
                }
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Span, E> {
                Ok(Span(ms))
            }
            fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Span, E> {
                u64::try_from(ms).map(Span).map_err(|_| E::custom("a span cannot be negative"))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]+(ms|s|m|h|d)?$" })
    }
}

/// A value that stands elsewhere: `${env:NAME}` or `${file:/path}`. Never holds the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Env(String),
    File(String),
}

/// A reference that leads nowhere.
#[derive(Debug, Clone, thiserror::Error)]
#[error("EXO-CFG-005: {reference} cannot be read: {why}")]
pub struct SecretError {
    /// The reference.
    pub reference: String,
    /// Why.
    pub why: String,
}

impl Secret {
    /// Reads the value it refers to; a trailing line break of a file is dropped.
    pub fn resolve(&self) -> Result<Arc<str>, SecretError> {
        let fail = |why: String| SecretError { reference: self.to_string(), why };
        match &self.0 {
            Place::Env(name) => std::env::var(name)
                .map(Arc::from)
                .map_err(|_| fail("the environment variable is not set".to_owned())),
            Place::File(path) => std::fs::read_to_string(path)
                .map(|text| Arc::from(text.trim_end_matches(['\r', '\n'])))
                .map_err(|e| fail(e.to_string())),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Env(name) => write!(f, "${{env:{name}}}"),
            Place::File(path) => write!(f, "${{file:{path}}}"),
        }
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.strip_prefix("${").and_then(|t| t.strip_suffix('}'));
        match inner.and_then(|t| t.split_once(':')) {
            Some(("env", name)) if !name.is_empty() => Ok(Self(Place::Env(name.to_owned()))),
            Some(("file", path)) if !path.is_empty() => Ok(Self(Place::File(path.to_owned()))),
            // The text may be a secret: it is not repeated.
            _ => Err("secrets stand in the config only as ${env:NAME} or ${file:/path}"),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\$\{(env|file):.+\}$" })
    }
}

/// A closed set of words that another crate owns.
pub trait Closed: FromStr<Err: fmt::Display> + Copy + 'static {
    /// What the set is called, for the schema.
    const NAME: &'static str;
    /// Every word.
    fn words() -> Vec<&'static str>;
    /// This one.
    fn word(self) -> &'static str;
}

/// One word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word<T>(pub T);

impl<T: Closed> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<'de, T: Closed> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Word).map_err(de::Error::custom)
    }
}

impl<T: Closed> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": T::words() })
    }
}

macro_rules! closed {
    ($($name:literal => $type:ty),+ $(,)?) => {$(
        impl Closed for $type {
            const NAME: &'static str = $name;
            fn words() -> Vec<&'static str> {
                <$type>::ALL.iter().map(|w| w.as_str()).collect()
            }
            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )+};
}

closed! {
    "Side" => model::Side,
    "Strategy" => model::Strategy,
    "WritePolicy" => model::WritePolicy,
    "ConflictPolicy" => model::ConflictPolicy,
    "Environment" => workflow::Environment,
    "Gate" => workflow::Gate,
    "Role" => workflow::Role,
    "Step" => workflow::Place,
    "EvidenceKind" => workflow::EvidenceKind,
    "OnFailure" => workflow::OnFailure,
    "ReadMode" => model::ReadMode,
    "Verdict" => workflow::Verdict,
    "EvidenceOutcome" => workflow::EvidenceOutcome,
    "FlipKind" => workflow::FlipKind,
    "FlipStep" => workflow::FlipStep,
    "Outcome" => workflow::Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, ms, back) in [
            ("250ms", 250, "250ms"),
            ("10s", 10_000, "10s"),
            ("90s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("72h", 259_200_000, "3d"),
            ("0s", 0, "0ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.ms(), span.to_string().as_str()), (ms, back), "{text}");
        }
        for text in ["", "ms", "-1s", "5 weeks", "99999999999999999999s", "1.5s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_a_reference_and_never_repeated() {
        let secret: Secret = "${env:EXODUS_TEST_SURELY_UNSET}".parse().unwrap();
        assert!(secret.resolve().unwrap_err().to_string().contains("EXO-CFG-005"));
        let refused = "hunter2".parse::<Secret>().unwrap_err();
        assert!(!refused.contains("hunter2"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        std::fs::write(&path, "opens sesame\n").unwrap();
        let secret: Secret = format!("${{file:{}}}", path.display()).parse().unwrap();
        assert_eq!(&*secret.resolve().unwrap(), "opens sesame");
    }
}
