//! Runs workflows: load, step, store, act. HTTP, events, evidence.
//!
//! Constraints: names no family; decides nothing that `workflow` does not decide; stores a state
//! before it acts on it.
//!
//! Layout: `config` is the document.

pub mod config;
