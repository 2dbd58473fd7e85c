//! `exodus demo`: a source, a target, a load, an interlay and a whole guided run on this machine.
//!
//! Constraints: drives the product only through its public doors (a child process of this very
//! binary and the HTTP API), so that what it shows is what an operator gets; judges the outcome
//! with `chaos`, which shares no code with the product.
//!
//! Layout: `args` is the command line; `stage` starts everything and can break it; `config`
//! writes the migration's document; `door` speaks HTTP; `guide` takes the run from step to step;
//! `script` is the headless play, `live` the interactive one; `harm` the faults on offer;
//! `residue` what may not be left behind; `result` the page at the end; `say` prints.

pub mod args;
mod config;
pub mod door;
pub mod guide;
mod harm;
mod live;
mod residue;
mod result;
mod say;
mod script;
pub mod stage;
mod stop;

use std::process::ExitCode;

pub use args::DemoArgs;
use args::Script;
use stage::Stage;

/// Runs the demo to its end. 0: everything asked for was done and held.
pub fn run(args: &DemoArgs) -> ExitCode {
    let DemoArgs::Redis(options) = args;
    let played = stop::listen().and_then(|()| Stage::build(options)).and_then(|mut stage| {
        let played = match options.script {
            Some(Script::AllPhases) => script::play(&mut stage, options),
            None => live::play(&mut stage, options).map(|()| true),
        };
        if played.is_err() {
            say::failure_log(&stage.node_log());
        }
        played
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
