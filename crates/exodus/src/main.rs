//! The binary: server, client and demo in one. The only place that names the families.

mod client;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use exodus::{demo, serve};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Moves live databases with no downtime and no lost write.
#[derive(Debug, Parser)]
#[command(name = "exodus", version)]
struct Exodus {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    /// A whole guided run on this machine, with servers and load of its own
    #[command(subcommand)]
    Demo(demo::DemoArgs),
    #[command(flatten)]
    Client(Box<cli::Verb>),
}

fn main() -> ExitCode {
    let Exodus { global, command } = Exodus::parse();
    match command {
        Command::Serve(args) => serve::run(&args, global.state_dir),
        Command::Demo(args) => demo::run(&args),
        Command::Client(verb) => {
            let code = client::run(global, *verb, Exodus::command);
            u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}
