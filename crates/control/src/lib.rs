//! Runs workflows: load, step, store, act. HTTP, events, evidence, the dashboard.
//!
//! Constraints: names no family; decides nothing that `workflow` does not decide; stores a state
//! before it acts on it; never stands between a client and its authority.
//!
//! Layout: `server` is the process, `migration` brings one migration up, `world` is what its
//! actions work on, `runner` the loop that owns its run, `act` what that loop does, `observe` what
//! it is told, `interlays` its listeners; `config` the document, `preflight`, `smoke`, `rehearsal`
//! and `evidence` the proofs, `status` the document everybody sees, `verbs` what people may want,
//! `http` the doors, `auth` who may, `reports`, `bundle` and `samples` what is left behind; `dto`
//! and `progress` how it is stored.

mod act;
mod auth;
mod bundle;
mod cleaned;
mod clock;
pub mod config;
mod dto;
mod endpoint;
mod events;
mod evidence;
mod http;
mod ignored;
mod interlays;
mod known;
mod metrics;
mod migration;
mod observe;
mod pages;
pub mod plugin;
mod preflight;
mod progress;
mod rehearsal;
mod reports;
mod runner;
mod samples;
mod server;
mod smoke;
mod status;
mod tap;
mod verbs;
mod world;

pub use config::Secret;
pub use server::{Server, Settings, validate};
