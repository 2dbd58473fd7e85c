//! What the client can answer without a server, handed in by the binary: the configuration's
//! schema and the families belong to crates this one may not see.

use api::Validation;

/// A family of databases, as `init` needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Wire name; also the scheme of its addresses.
    pub name: &'static str,
    /// The port its servers usually listen on.
    pub port: u16,
    /// Whether a connection is to one database on the server.
    pub databases: bool,
    /// Commented YAML lines of the family's own block, without indentation; may be empty.
    pub block: &'static str,
}

/// Answers that need no server.
pub trait Offline {
    /// Checks a configuration document: structure, values, combinations. Makes no connection.
    fn validate(&self, text: &str, name: &str) -> Validation;
    /// The JSON Schema of the configuration.
    fn schema(&self) -> serde_json::Value;
    /// The families this binary was built with; the first is the default.
    fn families(&self) -> &[Family];
    /// The whole command line, for shell completions.
    fn command(&self) -> clap::Command;
}
