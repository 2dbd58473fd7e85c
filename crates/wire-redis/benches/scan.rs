//! What scanning one small message costs.

use divan::{Bencher, black_box};
use wire_redis::{Arguments, ReplyScanner, RequestScanner};

fn main() {
    divan::main();
}

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$64\r\n\
xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

#[divan::bench]
fn request_set_64_bytes(bencher: Bencher<'_, '_>) {
    let mut scanner = RequestScanner::new();
    bencher.bench_local(|| {
        let scanned = scanner.scan(black_box(SET));
        scanner.taken(SET.len());
        scanned
    });
}

#[divan::bench]
fn arguments_of_set(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Arguments::new(black_box(SET)).nth(1).map(<[u8]>::len));
}

#[divan::bench(args = ["+OK\r\n", ":1\r\n", "$-1\r\n", "$5\r\nhello\r\n", "*2\r\n$1\r\na\r\n:5\r\n"])]
fn reply(bencher: Bencher<'_, '_>, message: &str) {
    let mut scanner = ReplyScanner::new();
    bencher.bench_local(|| scanner.scan(black_box(message.as_bytes())));
}
