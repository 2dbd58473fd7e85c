//! A client's stream: no panic, and any cut finds the same ends. `cargo +nightly fuzz run frontend`
#![no_main]

#[path = "../../../crates/wire-postgres/tests/look/content.rs"]
mod content;
#[path = "../../../crates/wire-postgres/tests/look/walk.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;
use walk::{Client, walk};
use wire_postgres::{FrontendPhase, FrontendScanner, tags};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, stream)) = input.split_first() else { return };
    let phase = match choice % 5 {
        0 => FrontendPhase::Startup,
        1 => FrontendPhase::Authentication,
        2 => FrontendPhase::Session,
        3 => FrontendPhase::CopyIn,
        _ => FrontendPhase::CopyBoth,
    };
    let client = || Client { scanner: FrontendScanner::at(phase), answers: 1 };
    let whole = walk(client(), stream, &[], false);
    for step in [1, 3, 17] {
        let cuts: Vec<usize> = (0..stream.len()).step_by(step).collect();
        for parts in [false, true] {
            assert_eq!(walk(client(), stream, &cuts, parts), whole);
        }
    }
    let mut from = 0;
    for (tag, end) in whole.0 {
        let message = &stream[from..end];
        let _ = match tag {
            tags::STARTUP => content::startup(message),
            _ => content::frontend(message),
        };
        from = end;
    }
    let _ = content::startup(stream);
});
