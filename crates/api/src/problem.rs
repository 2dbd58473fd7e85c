use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::codes;

/// An error as `application/problem+json` (RFC 9457) with our own members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind: `urn:exodus:error:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The short meaning of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The `EXO-` code.
    pub code: String,
    /// What happened this time.
    pub detail: String,
    /// Where: `file:line:column`, a field, an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What it means for the run and for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// What to do, as a command where possible.
    pub fix: String,
    /// The state version now, where a stale one was the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<u64>,
}

impl Problem {
    /// A problem by its code. Title, status and fix come from the registry.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (title, status, fix) = codes::code(code)
            .map_or(("internal error", 500, "exodus events"), |c| (c.title, c.status, c.fix));
        Self {
            kind: format!("urn:exodus:error:{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.into(),
            at: None,
            impact: None,
            fix: fix.to_owned(),
            state_version: None,
        }
    }

    /// With a more fitting fix than the registry's.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// With the place.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }

    /// With the consequences.
    #[must_use]
    pub fn impact(mut self, impact: impl Into<String>) -> Self {
        self.impact = Some(impact.into());
        self
    }

    /// With the present state version.
    #[must_use]
    pub const fn version(mut self, version: u64) -> Self {
        self.state_version = Some(version);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.code, self.detail, self.title)
    }
}

impl std::error::Error for Problem {}
