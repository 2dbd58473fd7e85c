//! The client's outside world: the real terminal, and the answers that need no server.

use std::io::{IsTerminal as _, stderr, stdin, stdout};

use cli::{Family, Global, Io, Offline, Verb};
use jiff::Timestamp;

/// The families of this binary; the first is what `init` assumes.
const FAMILIES: &[Family] = &[
    Family { name: "redis", port: 6379, databases: false, block: "" },
    Family { name: "postgres", port: 5432, databases: true, block: POSTGRES },
];

const POSTGRES: &str = "\
tls_required: false         # clients that do not ask for TLS are turned away
trust: false                # roles without a password are let in where the server asks for none
identity_full: false        # tables without a key may be given REPLICA IDENTITY FULL
credentials:                # where stored passwords cannot be read from the source
  app: ${env:APP_PASSWORD}";

/// Columns when nothing tells how wide the terminal is.
const WIDTH: usize = 80;

/// Runs one verb on the process's own streams. Returns the exit code.
pub(crate) fn run(global: Global, verb: Verb, command: fn() -> clap::Command) -> i32 {
    let (out, err) = (stdout(), stderr());
    let (out_tty, err_tty, in_tty) = (out.is_terminal(), err.is_terminal(), stdin().is_terminal());
    let mut io = Io {
        out: &mut out.lock(),
        err: &mut err.lock(),
        input: &mut stdin().lock(),
        out_tty,
        err_tty,
        in_tty,
        width: width(),
        env: &|name| std::env::var(name).ok(),
        now: &Timestamp::now,
    };
    cli::run(global, verb, &mut io, &Here { command })
}

/// Columns of the terminal, of `COLUMNS`, or eighty.
fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(w, _)| usize::from(w.0));
    asked.or_else(terminal).unwrap_or(WIDTH)
}

struct Here {
    command: fn() -> clap::Command,
}

impl Offline for Here {
    fn validate(&self, text: &str, _name: &str) -> api::Validation {
        control::validate(text, &exodus::compose::plugins())
    }

    fn schema(&self) -> serde_json::Value {
        control::config::schema()
    }

    fn families(&self) -> &[Family] {
        FAMILIES
    }

    fn command(&self) -> clap::Command {
        (self.command)()
    }
}
