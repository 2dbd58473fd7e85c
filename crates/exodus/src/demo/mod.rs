//! `exodus demo`: a source, a target, a load, an interlay and a whole guided run on this machine.
//!
//! Constraints: drives the product only through its public doors (a child process of this very
//! binary and the HTTP API), so that what it shows is what an operator gets; judges the outcome
//! with `chaos`, which shares no code with the product.
//!
//! Layout: `args` is the command line; `scene` what the plays need of a family, `stage` Redis and
//! `postgres` PostgreSQL on it, `home` the node they share; `config` writes the migration's
//! document; `door` speaks HTTP; `guide` takes the run from step to step; `script` is the headless
//! play, `live` the interactive one; `harm` the faults on offer; `residue` what may not be left
//! behind on Redis; `result` the page at the end; `say` prints.

pub mod args;
mod config;
pub mod door;
pub mod guide;
mod harm;
pub mod home;
mod live;
mod postgres;
mod residue;
mod result;
mod say;
mod scene;
mod script;
pub mod stage;
mod stop;

use std::process::ExitCode;

use anyhow::Result;

pub use args::DemoArgs;
use args::{Common, Script};
use postgres::PgStage;
use scene::Scene;
use stage::Stage;

/// Runs the demo to its end. 0: everything asked for was done and held.
pub fn run(args: &DemoArgs) -> ExitCode {
    let played = stop::listen().and_then(|()| match args {
        DemoArgs::Redis(options) => play(Stage::build(options)?, &options.common),
        DemoArgs::Postgres(options) => play(PgStage::build(options)?, &options.common),
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say::error(&error);
            ExitCode::from(1)
        }
    }
}

fn play<S: Scene>(mut scene: S, options: &Common) -> Result<bool> {
    let played = match options.script {
        Some(Script::AllPhases) => script::play(&mut scene, options),
        None => live::play(&scene, options).map(|()| true),
    };
    if played.is_err() {
        say::failure_log(&scene.home().node_log());
    }
    played
}
