//! Replies: no panic, any cut finds the same ends, and the decoder ends where the scanner does. `cargo +nightly fuzz run reply`
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire_redis::{Decoder, ReplyScanner};

/// Ends of the messages found, and whether the input was refused.
fn ends(input: &[u8], step: usize) -> (Vec<usize>, bool) {
    let mut scanner = ReplyScanner::new();
    let (mut from, mut to, mut out) = (0, 0, Vec::new());
    loop {
        match scanner.scan(&input[from..to]) {
            Err(_) => return (out, true),
            Ok((n, true)) => {
                from += n;
                out.push(from);
            }
            Ok((n, false)) => {
                from += n;
                if to == input.len() {
                    return (out, false);
                }
                to = (to + step).min(input.len());
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = ends(input, input.len().max(1));
    for step in [1, 3, 17] {
        let cut = ends(input, step);
        assert_eq!(whole.0, cut.0);
    }
    let mut buffer = bytes::BytesMut::from(input);
    // The scanner is the stricter of the two: it may refuse what the decoder reads.
    if let (Ok(Some(_)), Some(&first)) = (Decoder::new().decode(&mut buffer), whole.0.first()) {
        assert_eq!(first, input.len() - buffer.len());
    }
});
