//! However a stream is cut, the scanners find the same messages; no input makes them panic.

use proptest::prelude::*;
use wire_redis::{Arguments, ReplyScanner, RequestScanner, Scanned, encode, split_inline};

fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6).prop_map(|args| {
            let mut out = bytes::BytesMut::new();
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            encode::command(&mut out, &args);
            out.to_vec()
        }),
        1 => "[a-z]{1,8}( [a-z0-9]{1,8}){0,3}\r?\n".prop_map(String::into_bytes),
        1 => prop_oneof![Just(b"\r\n".to_vec()), Just(b"*0\r\n".to_vec()), Just(b"*-1\r\n".to_vec())],
    ]
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        "[a-zA-Z ]{0,20}".prop_map(|s| format!("+{s}\r\n").into_bytes()),
        "[A-Z]{1,8} [a-z ]{0,20}".prop_map(|s| format!("-{s}\r\n").into_bytes()),
        any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(|b| {
            let mut out = format!("${}\r\n", b.len()).into_bytes();
            out.extend_from_slice(&b);
            out.extend_from_slice(b"\r\n");
            out
        }),
        Just(b"$-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        Just(b"#t\r\n".to_vec()),
        Just(b"$?\r\n;2\r\nab\r\n;0\r\n".to_vec()),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        (prop::sample::select(vec![b'*', b'~', b'>']), prop::collection::vec(inner, 0..5)).prop_map(
            |(tag, items)| {
                let mut out = format!("{}{}\r\n", tag as char, items.len()).into_bytes();
                items.iter().for_each(|i| out.extend_from_slice(i));
                out
            },
        )
    })
}

/// Lengths of the requests in `stream`, read in chunks that end at `cuts`.
fn requests(stream: &[u8], cuts: &[usize]) -> Vec<usize> {
    let mut scanner = RequestScanner::new();
    let (mut from, mut out) = (0, Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|c| c % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    for to in ends {
        loop {
            match scanner.scan(&stream[from..to]).expect("valid requests") {
                Scanned::More => break,
                Scanned::Empty(n) | Scanned::Array(n) | Scanned::Inline(n) => {
                    scanner.taken(n);
                    out.push(n);
                    from += n;
                }
            }
        }
    }
    assert_eq!(from, stream.len());
    out
}

/// Lengths of the messages in `stream`, read in chunks that end at `cuts`.
fn replies(stream: &[u8], cuts: &[usize]) -> Vec<usize> {
    let mut scanner = ReplyScanner::new();
    let (mut from, mut length, mut out) = (0, 0, Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|c| c % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    for to in ends {
        while from < to {
            let (n, done) = scanner.scan(&stream[from..to]).expect("valid replies");
            from += n;
            length += n;
            if !done {
                break;
            }
            out.push(std::mem::take(&mut length));
        }
    }
    assert_eq!(from, stream.len());
    out
}

proptest! {
    #[test]
    fn chunked_requests_are_the_whole_ones(
        parts in prop::collection::vec(request(), 1..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let stream = parts.concat();
        prop_assert_eq!(requests(&stream, &cuts), parts.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn chunked_replies_are_the_whole_ones(
        parts in prop::collection::vec(reply(), 1..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let stream = parts.concat();
        prop_assert_eq!(replies(&stream, &cuts), parts.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn arguments_come_back(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8)) {
        let mut out = bytes::BytesMut::new();
        let slices: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        encode::command(&mut out, &slices);
        prop_assert_eq!(Arguments::new(&out).collect::<Vec<_>>(), slices);
    }

    #[test]
    fn no_input_panics(input in prop::collection::vec(
        prop_oneof![4 => prop::sample::select(b"*$+-:%~>|=!_,#(;.?0123456789\r\n\"'\\x".to_vec()), 1 => any::<u8>()],
        0..200,
    ), cut in any::<usize>()) {
        let mut scanner = RequestScanner::new();
        let cut = cut % (input.len() + 1);
        if matches!(scanner.scan(&input[..cut]), Ok(Scanned::More)) {
            if let Some(pending) = scanner.pending(&input[..cut]) {
                prop_assert!(pending.bytes <= cut);
                scanner.taken(pending.bytes);
                let _ = scanner.rest(&input[pending.bytes..]);
            } else {
                let _ = scanner.scan(&input);
            }
        }
        let mut replies = ReplyScanner::new();
        if let Ok((n, _)) = replies.scan(&input[..cut]) {
            let _ = replies.scan(&input[n..]);
        }
        let _ = Arguments::new(&input).count();
        let _ = split_inline(&input);
    }
}
