//! What a verb did or would do, and what comes next.

use std::io;

use api::{Envelope, VerbOutcome};
use serde_json::Value;

use crate::output::Format;
use crate::term::Io;
use crate::text::{clean, millis};

pub(crate) fn write(io: &mut Io<'_>, format: Format, outcome: &VerbOutcome) -> io::Result<()> {
    if format == Format::Plain {
        writeln!(io.out, "verb\t{}", clean(&outcome.verb))?;
        writeln!(io.out, "applied\t{}", outcome.applied)?;
        return writeln!(io.out, "message\t{}", clean(&outcome.message));
    }
    let paint = io.paint();
    let head = if outcome.applied { paint.good("done") } else { paint.bold("dry run") };
    writeln!(io.out, "{head}: {}", clean(&outcome.message))?;
    for (number, effect) in (1..).zip(&outcome.effects) {
        let time = effect.estimated_ms.map(|ms| format!(" (about {})", millis(ms)));
        writeln!(
            io.out,
            "  {number}. [{}] {}{}",
            clean(&effect.touches),
            clean(&effect.what),
            time.unwrap_or_default()
        )?;
    }
    if let Some(undo) = &outcome.undo {
        writeln!(io.out, "  undo: {}", clean(undo))?;
    }
    io.out.flush()
}

/// What the run waits for now and the command that most likely comes next; on stderr, because
/// it is advice and not data.
pub(crate) fn next(io: &mut Io<'_>, envelope: &Envelope<Value>) -> io::Result<()> {
    if let Some(waiting) = &envelope.waiting_on {
        if waiting.kind == "nothing" {
            io.say(&format!("waiting for {}", clean(&waiting.what)));
        } else {
            io.say(&format!("waiting: {} ({})", clean(&waiting.what), clean(&waiting.who)));
        }
    }
    for step in envelope.next_steps.iter().take(2) {
        io.say(&format!("next: {}    # {}", clean(&step.command), clean(&step.why)));
    }
    Ok(())
}
