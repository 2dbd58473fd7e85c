//! What the demo prints: one line per thing that happened, with the seconds since it began.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static BEGAN: OnceLock<Instant> = OnceLock::new();

fn began() -> Instant {
    *BEGAN.get_or_init(Instant::now)
}

/// Something happened.
pub(super) fn line(text: impl AsRef<str>) {
    let at = began().elapsed().as_secs_f64();
    println!("{at:>7.1} s  {}", text.as_ref());
}

/// A heading.
pub(super) fn head(text: &str) {
    println!();
    line(format!("── {text}"));
}

/// A command an operator would type for what is done next.
pub(super) fn command(words: &str) {
    line(format!("  $ exodus {words}"));
}

/// A detail of the line above.
pub(super) fn detail(text: impl AsRef<str>) {
    line(format!("    {}", text.as_ref()));
}

/// What went wrong, with its causes.
pub(super) fn error(error: &anyhow::Error) {
    eprintln!("\nerror: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// The end of the node's log.
pub(super) fn failure_log(tail: &str) {
    eprintln!("\nlast lines of the server's log:\n{tail}");
}

/// Milliseconds for a human.
pub(super) fn ms(span: Duration) -> String {
    match span.as_millis() {
        0..10 => format!("{:.2} ms", span.as_secs_f64() * 1_000.0),
        10..10_000 => format!("{} ms", span.as_millis()),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}
