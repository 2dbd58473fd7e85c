//! The outside world of a command: streams, terminal, environment, clock. Arrives as an
//! argument, so that a transcript test owns all of it.

use std::io::{BufRead, Write};

use jiff::Timestamp;

/// Streams, terminal facts, environment and clock of one command.
pub struct Io<'a> {
    /// Data goes here.
    pub out: &'a mut dyn Write,
    /// Messages and progress go here.
    pub err: &'a mut dyn Write,
    /// Answers to questions come from here.
    pub input: &'a mut dyn BufRead,
    /// Whether `out` is a terminal.
    pub out_tty: bool,
    /// Whether `err` is a terminal.
    pub err_tty: bool,
    /// Whether `input` is a terminal, so that a question can be asked.
    pub in_tty: bool,
    /// Columns of the terminal; 80 when it is unknown or there is none.
    pub width: usize,
    /// Environment variables.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The wall clock.
    pub now: &'a dyn Fn() -> Timestamp,
}

impl Io<'_> {
    /// How to mark words on stdout.
    pub(crate) fn paint(&self) -> Paint {
        Paint { on: self.out_tty && self.colour_wanted() }
    }

    /// How to mark words on stderr.
    pub(crate) fn err_paint(&self) -> Paint {
        Paint { on: self.err_tty && self.colour_wanted() }
    }

    fn colour_wanted(&self) -> bool {
        let none = (self.env)("NO_COLOR").is_some_and(|v| !v.is_empty());
        !none && (self.env)("TERM").as_deref() != Some("dumb")
    }

    /// One line for a person, on stderr. A closed stderr is nobody to tell.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = writeln!(self.err, "{line}");
        let _ = self.err.flush();
    }
}

/// Adds emphasis to words that already say the state by themselves; colour never adds meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
