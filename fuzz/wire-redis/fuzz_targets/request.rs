//! Requests: no panic, and any cut finds the same ends. `cargo +nightly fuzz run request`
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire_redis::{Arguments, RequestScanner, Scanned, split_inline};

/// Lengths of the requests found, and whether the input was refused.
fn ends(input: &[u8], step: usize) -> (Vec<usize>, bool) {
    let mut scanner = RequestScanner::new();
    let (mut from, mut to, mut out) = (0, 0, Vec::new());
    loop {
        match scanner.scan(&input[from..to]) {
            Err(_) => return (out, true),
            Ok(Scanned::More) if to == input.len() => return (out, false),
            Ok(Scanned::More) => to = (to + step).min(input.len()),
            Ok(Scanned::Empty(n) | Scanned::Array(n) | Scanned::Inline(n)) => {
                let raw = &input[from..from + n];
                let _ = Arguments::new(raw).count();
                let _ = split_inline(raw);
                scanner.taken(n);
                from += n;
                out.push(n);
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = ends(input, input.len().max(1));
    for step in [1, 3, 17] {
        let cut = ends(input, step);
        assert_eq!(whole.0, cut.0);
        assert_eq!(whole.1, cut.1);
    }
    // A large request taken in parts ends where it ends whole.
    let mut scanner = RequestScanner::new();
    let half = input.len() / 2;
    if let Ok(Scanned::More) = scanner.scan(&input[..half])
        && let Some(pending) = scanner.pending(&input[..half])
    {
        scanner.taken(pending.bytes);
        if let Ok((n, true)) = scanner.rest(&input[pending.bytes..]) {
            assert_eq!(whole.0.iter().sum::<usize>().min(pending.bytes + n), pending.bytes + n);
        }
    }
});
