use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// A config document, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigDocument {
    /// YAML or JSON.
    pub yaml: String,
    /// File name for messages.
    #[serde(default)]
    pub name: Option<String>,
}

/// What an offline look at a config found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    /// Whether it can be used.
    pub valid: bool,
    /// The migration's name, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// Digest of the normalised document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What is wrong.
    pub problems: Vec<ConfigProblem>,
}

/// One thing wrong in a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigProblem {
    /// The `EXO-CFG-` code.
    pub code: String,
    /// What is wrong, with the nearest match where a key is unknown.
    pub message: String,
    /// Path of the value, e.g. `write.policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// 1-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// 1-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl From<ConfigProblem> for Problem {
    fn from(problem: ConfigProblem) -> Self {
        let place = match (problem.line, problem.column) {
            (Some(line), Some(column)) => Some(format!("{line}:{column}")),
            _ => problem.path.clone(),
        };
        let mut out = Self::new("EXO-API-422", problem.message);
        out.kind = format!("urn:exodus:error:{}", problem.code);
        out.code = problem.code;
        out.at = place;
        if let Some(fix) = problem.fix {
            out.fix = fix;
        }
        out
    }
}

/// The config in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigView {
    /// As given, secrets by reference only.
    pub yaml: String,
    /// Digest of the normalised document.
    pub digest: String,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// At once.
    Hot,
    /// With the next step.
    NextStep,
    /// Only after the interlay was drained or the server restarted.
    NeedsDrain,
    /// Never in a live migration.
    Refused,
}

/// What applying a config would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigPlan {
    /// Give it to `config_apply`.
    pub digest: String,
    /// Each change.
    pub changes: Vec<ConfigChange>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigChange {
    /// Path of the value.
    pub path: String,
    /// Value now; absent when added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Value then; absent when removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it takes effect.
    pub kind: ChangeKind,
}
