//! What a statement answered.

use std::sync::Arc;

use bytes::Bytes;
use family::PortError;

use crate::error;

/// One row, its values as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) at: Arc<str>,
}

impl Row {
    /// A value, `None` for NULL or where there is no such column.
    pub(crate) fn get(&self, column: usize) -> Option<&Bytes> {
        self.values.get(column)?.as_ref()
    }

    /// All values.
    pub(crate) fn values(&self) -> &[Option<Bytes>] {
        &self.values
    }

    /// A value that must be there, as text.
    pub(crate) fn text(&self, column: usize) -> Result<&str, PortError> {
        self.opt(column)?.ok_or_else(|| self.wrong(column, "a value"))
    }

    /// A value that may be NULL, as text.
    pub(crate) fn opt(&self, column: usize) -> Result<Option<&str>, PortError> {
        let Some(value) = self.get(column) else { return Ok(None) };
        std::str::from_utf8(value).map(Some).map_err(|_| self.wrong(column, "text"))
    }

    /// A value that must be a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, column: usize) -> Result<T, PortError> {
        self.text(column)?.parse().map_err(|_| self.wrong(column, "a number"))
    }

    /// A value that must be true or false.
    pub(crate) fn flag(&self, column: usize) -> Result<bool, PortError> {
        match self.text(column)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.wrong(column, "true or false")),
        }
    }

    fn wrong(&self, column: usize, wanted: &str) -> PortError {
        error::unexpected(&format!("a question: column {column} is not {wanted}"), &self.at)
    }
}

/// All that one question brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Names of the columns of the last result.
    pub(crate) columns: Vec<String>,
    /// The rows, of all statements of the question.
    pub(crate) rows: Vec<Row>,
    /// Tag of the last command, as `INSERT 0 12`.
    pub(crate) tag: String,
}

impl Answer {
    /// How many rows the last command touched, as its tag says.
    pub(crate) fn count(&self) -> u64 {
        self.tag.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}
