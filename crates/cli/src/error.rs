//! The one form in which a person meets an error: what, where, what it means, what to do, more.

use crate::exit::Exit;
use crate::term::{Io, Paint};
use crate::text::clean;

/// An error on its way to a person, or to a script as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The `EXO-` code; every code has a page in `docs/errors`.
    pub(crate) code: Box<str>,
    /// What happened, in one sentence without a full stop.
    pub(crate) what: Box<str>,
    /// Where: a file position, an address, a verb.
    pub(crate) at: Option<Box<str>>,
    /// What it means for the run and for the data.
    pub(crate) impact: Option<Box<str>>,
    /// A command, or a sentence when there is none.
    pub(crate) fix: Option<Box<str>>,
    /// What the process ends with.
    pub(crate) exit: Exit,
}

impl Failure {
    /// An error with the parts every error has.
    pub(crate) fn new(code: &str, exit: Exit, what: impl Into<Box<str>>) -> Self {
        Self { code: code.into(), what: what.into(), at: None, impact: None, fix: None, exit }
    }

    pub(crate) fn at(mut self, at: impl Into<Box<str>>) -> Self {
        self.at = Some(at.into());
        self
    }

    pub(crate) fn impact(mut self, impact: impl Into<Box<str>>) -> Self {
        self.impact = Some(impact.into());
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<Box<str>>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The command line itself is wrong in a way the argument parser cannot see.
    pub(crate) fn usage(what: impl Into<Box<str>>) -> Self {
        Self::new("EXO-CLI-001", Exit::Usage, what).impact("nothing was sent to the server")
    }

    /// Writes the error to stderr, as text or, when `json` is set, as one JSON object.
    pub(crate) fn write(&self, io: &mut Io<'_>, json: bool) {
        let text = if json { self.json() } else { self.text(io.err_paint()) };
        // There is nobody left to tell when stderr itself is gone.
        let _ = io.err.write_all(text.as_bytes());
        let _ = io.err.flush();
    }

    fn text(&self, paint: Paint) -> String {
        let code = clean(&self.code);
        let head = paint.bad(&format!("error[{code}]"));
        let mut text = format!("{head}: {}\n", clean_lines(&self.what));
        let more = format!("exodus explain {code}");
        let parts = [
            ("at", self.at.as_deref()),
            ("impact", self.impact.as_deref()),
            ("fix", self.fix.as_deref()),
            ("more", Some(more.as_str())),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                text.push_str(&format!(
                    "  {} {}\n",
                    paint.dim(&format!("{name:<6}")),
                    clean_lines(value)
                ));
            }
        }
        text
    }

    fn json(&self) -> String {
        let value = serde_json::json!({"error": {
            "code": self.code, "what": self.what, "at": self.at, "impact": self.impact,
            "fix": self.fix, "more": format!("exodus explain {}", self.code), "exit": self.exit.code(),
        }});
        format!("{value}\n")
    }
}

/// Cleans each line and keeps continuation lines under the first one.
fn clean_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(clean).collect();
    lines.join("\n         ")
}

/// What verbs return.
pub(crate) type Outcome = Result<Exit, Failure>;

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // `exodus events | head` is no error: the reader has seen enough.
            return Self::new("EXO-CLI-009", Exit::Done, "the reader of the output went away");
        }
        Self::new("EXO-CLI-009", Exit::Internal, format!("cannot write the output: {error}"))
            .impact("the command itself was carried out; only its output is incomplete")
            .fix("check the disk or the pipe that stdout goes to, then ask again with `exodus status`")
    }
}
