//! Events, one line each.

use api::Event;
use jiff::Timestamp;

use crate::term::Paint;
use crate::text::{clean, cut};

/// `12:03:09 phase_entered       migrate: seeding`, cut to the width.
pub(crate) fn line(event: &Event, paint: Paint, now: Timestamp, width: usize) -> String {
    let mark = match event.severity.as_str() {
        "alarm" => "!!",
        "warning" => "! ",
        _ => "  ",
    };
    let time = time(&event.at, now);
    let text = cut(
        &format!("{mark}{:<20} {}", clean(&event.kind), clean(&event.message)),
        room(width, &time),
    );
    let text = match event.severity.as_str() {
        "alarm" => paint.bad(&text),
        "warning" => paint.warn(&text),
        _ => text,
    };
    format!("{} {text}", paint.dim(&time))
}

fn room(width: usize, time: &str) -> usize {
    width.saturating_sub(time.len() + 1).max(20)
}

/// The time of day, with the date when it is another day than today.
fn time(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return clean(at) };
    let day = at.strftime("%Y-%m-%d").to_string();
    let format =
        if day == now.strftime("%Y-%m-%d").to_string() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(format).to_string()
}
