use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do. A token carries a set of roles.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything, masked.
    Observer,
    /// Drives the run.
    Operator,
    /// Answers for the data.
    DatabaseOwner,
    /// Answers for the applications.
    ApplicationOwner,
    /// Approves a rollback where that was configured.
    RollbackApprover,
    /// Decides that the target stays.
    DecisionOwner,
    /// Owns an incident: hold and release.
    IncidentOwner,
    /// Tokens and server settings, and everything else.
    Admin,
    /// A program that may read and propose, never execute.
    Agent,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = &[
        Self::Observer,
        Self::Operator,
        Self::DatabaseOwner,
        Self::ApplicationOwner,
        Self::RollbackApprover,
        Self::DecisionOwner,
        Self::IncidentOwner,
        Self::Admin,
        Self::Agent,
    ];

    /// The wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::DatabaseOwner => "database_owner",
            Self::ApplicationOwner => "application_owner",
            Self::RollbackApprover => "rollback_approver",
            Self::DecisionOwner => "decision_owner",
            Self::IncidentOwner => "incident_owner",
            Self::Admin => "admin",
            Self::Agent => "agent",
        }
    }

    /// The role with this wire name; `-` is taken for `_`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.replace('-', "_");
        Self::ALL.iter().copied().find(|r| r.as_str() == name)
    }
}
