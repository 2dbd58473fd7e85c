use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::role::Role;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// Name of the token; empty for nobody.
    pub name: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The only migrations it may touch; empty means all.
    #[serde(default)]
    pub migrations: Vec<String>,
}

/// A dashboard login.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The bearer token.
    pub token: String,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The only migrations it may touch; empty means all.
    #[serde(default)]
    pub migrations: Vec<String>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Whose it is.
    pub name: String,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The only migrations it may touch; empty means all.
    #[serde(default)]
    pub migrations: Vec<String>,
    /// Seconds until it ends; never when absent.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
}

/// A new token with its secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// The secret; shown only now.
    pub secret: String,
}
