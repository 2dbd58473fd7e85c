//! A server's stream, and what replication puts into it: no panic, and any cut finds the same ends.
//! `cargo +nightly fuzz run backend`
#![no_main]

#[path = "../../../crates/wire-postgres/tests/look/content.rs"]
mod content;
#[path = "../../../crates/wire-postgres/tests/look/walk.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;
use walk::walk;
use wire_postgres::{BackendPhase, BackendScanner};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, stream)) = input.split_first() else { return };
    let phase = match choice % 4 {
        0 => BackendPhase::Encryption,
        1 => BackendPhase::Authentication,
        2 => BackendPhase::Session,
        _ => {
            let _ = content::logical(stream);
            return;
        }
    };
    let whole = walk(BackendScanner::at(phase), stream, &[], false);
    for step in [1, 3, 17] {
        let cuts: Vec<usize> = (0..stream.len()).step_by(step).collect();
        for parts in [false, true] {
            assert_eq!(walk(BackendScanner::at(phase), stream, &cuts, parts), whole);
        }
    }
    let mut from = 0;
    for (_, end) in whole.0 {
        // One byte is the answer to a request for encryption.
        if end - from > 1 {
            let _ = content::backend(&stream[from..end]);
        }
        from = end;
    }
});
