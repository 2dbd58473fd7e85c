//! The client: every verb an operator types, over the HTTP API.
//!
//! Constraints: depends on `api` only; blocking, no runtime; stdout is data and stderr is
//! messages; streams, environment and clock arrive as [`Io`], so a transcript test owns them all.
//! What others chose (keys, names, server messages) is escaped before it reaches a terminal.
//!
//! Layout: `args` is the command line as types, `run` dispatches it; `ctx`, `http`, `problem` and
//! `sse` talk to the server; `act` changes things, `watch`, `wait` and `follow` look on; `view`
//! renders documents; `text`, `table`, `output` and `term` know about terminals.

mod act;
pub mod args;
mod ctx;
mod error;
mod exit;
mod explain;
mod files;
mod follow;
mod http;
mod init;
mod lists;
mod live;
mod offline;
mod output;
mod problem;
mod run;
mod sse;
mod table;
mod term;
mod text;
mod view;
mod wait;
mod watch;

pub use args::{Global, Verb};
pub use exit::Exit;
pub use http::DEFAULT_SERVER;
pub use offline::{Family, Offline};
pub use output::Format;
pub use run::{Client, run, run_args};
pub use term::Io;
