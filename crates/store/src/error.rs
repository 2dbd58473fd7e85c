use std::path::PathBuf;

use thiserror::Error;

/// Why something could not be stored or read. Each has a code with an explain page.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// Another process has the state directory open.
    #[error("EXO-STO-001: {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The file is damaged. It is left as it is.
    #[error("EXO-STO-002: {} is damaged and was left as it is: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite or a checksum said.
        detail: String,
    },
    /// The file was written by a newer version.
    #[error("EXO-STO-003: {} has schema version {found}, this binary supports up to {supported}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// A commit or sync failed earlier; what reached the disk is unknown.
    #[error("EXO-STO-004: the store failed and accepts nothing until a restart: {0}")]
    Poisoned(String),
    /// There is no room. Data is refused before decisions are.
    #[error("EXO-STO-005: the store is full: {0}")]
    Full(String),
    /// Somebody else changed the document.
    #[error("EXO-STO-006: the document changed meanwhile (version {found} instead of {expected})")]
    Conflict {
        /// The version the change was based on.
        expected: u64,
        /// The version stored; 0 when it does not exist.
        found: u64,
    },
    /// The file cannot be opened or read.
    #[error("EXO-STO-007: {} cannot be used: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// One document is larger than 64 MiB.
    #[error("EXO-STO-008: a document of {0} bytes is too large to be stored")]
    TooLarge(usize),
}

impl StoreError {
    /// The `EXO-` code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InUse(_) => "EXO-STO-001",
            Self::Corrupt { .. } => "EXO-STO-002",
            Self::Newer { .. } => "EXO-STO-003",
            Self::Poisoned(_) => "EXO-STO-004",
            Self::Full(_) => "EXO-STO-005",
            Self::Conflict { .. } => "EXO-STO-006",
            Self::Unusable { .. } => "EXO-STO-007",
            Self::TooLarge(_) => "EXO-STO-008",
        }
    }
}
