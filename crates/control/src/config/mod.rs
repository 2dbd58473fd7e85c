//! The configuration: one strict YAML document per migration (JSON is YAML, too).
//!
//! Constraints: unknown and duplicate keys are refused with line and column; every value has its
//! own type, so that a wrong one is refused where it stands; secrets appear only as references
//! and are resolved as late as possible; nothing here makes a connection.
//!
//! Layout: `scalars` the value types, `document` the sections with their defaults (`endpoint`
//! those about addresses), `parse` text to
//! document, `check` what single values cannot tell, `plan` document to workflow plan, `diff` what
//! a new document would change.

mod check;
mod diff;
mod document;
mod endpoint;
mod parse;
mod plan;
mod scalars;

pub use diff::diff;
pub use document::{
    Analysis, Backfill, Batch, Checks, Compare, CriterionSpec, Datasets, Document, GateSection,
    Owners, PhaseSection, PinSpec, Replay, Rollback, StrategySection, Telemetry, Tenants, Throttle,
    Verify, WaiverSpec, WriteSection,
};
pub use endpoint::{EndpointSection, InterlaySection, TlsSection};
pub use parse::{parse, schema, validate};
pub use plan::plan;
pub use scalars::{Secret, SecretError, Span, Word};
