use family::PortError;
use thiserror::Error;

use crate::progress::ProgressError;

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum EngineError {
    /// A database failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The store failed: nothing that depends on its durability was done.
    #[error("EXO-ENG-004: the store cannot keep the engine's progress: {0}")]
    Progress(#[from] ProgressError),
    /// It makes no sense now, or cannot be kept.
    #[error("{code}: {message}")]
    Refused {
        /// The `EXO-` code.
        code: &'static str,
        /// What and why.
        message: String,
    },
    /// It did not happen in time; what was asked for may still be under way.
    #[error("EXO-ENG-008: {0}")]
    Deadline(String),
    /// The engine has been shut down.
    #[error("EXO-ENG-010: the engine has been shut down")]
    Closed,
}

impl EngineError {
    /// The code an operator can look up.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Port(error) => error.code,
            Self::Progress(_) => "EXO-ENG-004",
            Self::Refused { code, .. } => code,
            Self::Deadline(_) => "EXO-ENG-008",
            Self::Closed => "EXO-ENG-010",
        }
    }
}
