//! `exodus serve`: opens the state, brings the migrations up, serves until told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use control::{Server, Settings};
use store::{Options, SqliteStore, Store};
use telemetry::LogFormat;
use tokio::signal::unix::{SignalKind, signal};

use crate::compose;

/// Where the state lives unless told otherwise; the client looks for its token there, too.
const STATE_DIR: &str = ".exodus";

/// Runs the server: listeners, workers, API and dashboard
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration of a migration; may be repeated. Those created through the API are stored
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Where the API and the dashboard listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7070", alias = "listen")]
    http: SocketAddr,
    /// Listen on an address that others can reach although there is no TLS
    #[arg(long)]
    insecure: bool,
    /// How logs look
    #[arg(long, value_enum, default_value_t = Logs::Pretty)]
    log_format: Logs,
    /// What is logged: a level, or `target=level,…`
    #[arg(long, value_name = "FILTER", env = "EXODUS_LOG")]
    log: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Logs {
    Pretty,
    Json,
}

/// Serves until SIGTERM or SIGINT. 0: stopped as asked; 1: could not serve; 2: wrong
/// configuration or state.
pub fn run(args: &ServeArgs, state_dir: Option<PathBuf>) -> ExitCode {
    run_on(args, state_dir, |store| store)
}

/// Like [`run`], on whatever `dress` makes of the store: tests count on it to stop a process at a
/// chosen commit.
pub fn run_on(
    args: &ServeArgs,
    state_dir: Option<PathBuf>,
    dress: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> ExitCode {
    let state_dir = state_dir.unwrap_or_else(|| STATE_DIR.into());
    let format = match args.log_format {
        Logs::Pretty => LogFormat::Pretty,
        Logs::Json => LogFormat::Json,
    };
    telemetry::init_logs(format, args.log.as_deref());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(args, state_dir, dress)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}

async fn serve(
    args: &ServeArgs,
    state_dir: PathBuf,
    dress: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> anyhow::Result<()> {
    // Once per process; a second provider would mean that somebody else chose one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = telemetry::install()?;
    let mut documents = Vec::new();
    for path in &args.config {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        documents.push((path.display().to_string(), text));
    }
    let store = dress(SqliteStore::open(&state_dir, &Options::default())?);
    let settings = Settings {
        listen: args.http,
        state_dir,
        insecure: args.insecure,
        metrics: Arc::new(move || registry.render()),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::new(settings, store, compose::plugins()).await?;
    server.bring_up(documents).await?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server.serve(stop).await
}
