//! Metrics registry, exporters, tracing set-up.
//!
//! Constraints: names begin with `exodus_` (held by `cargo xtask tidy` at the call sites and by a
//! test here at run time); labels are closed sets; nothing that a client sent is logged.
//!
//! Layout: `registry` installs the one recorder of the process, `logs` the one subscriber.

mod logs;
mod registry;

pub use logs::{LogFormat, init_logs};
pub use registry::{Registry, install};
