//! What scanning and looking into one small message costs.

use bytes::BytesMut;
use divan::{AllocProfiler, Bencher, black_box};
use wire_postgres::encode::{self, BindMessage};
use wire_postgres::query::{Bind, ParseMessage};
use wire_postgres::rows::DataRow;
use wire_postgres::{
    BackendPhase, BackendScanner, FrontendPhase, FrontendScanner, Scanned, split, tags,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn write(put: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    put(&mut out);
    out.to_vec()
}

fn bind() -> Vec<u8> {
    let values: [Option<&[u8]>; 2] = [Some(b"\0\0\0\x2a"), Some(b"some text of a row")];
    write(|out| {
        let message = BindMessage { statement: b"s1", values: &values, ..BindMessage::default() };
        encode::bind(out, &message).expect("a small message");
    })
}

fn row() -> Vec<u8> {
    let values: [Option<&[u8]>; 4] = [Some(b"42"), Some(b"17"), Some(b"some text of a row"), None];
    write(|out| encode::data_row(out, &values).expect("a small message"))
}

#[divan::bench]
fn request_query(bencher: Bencher<'_, '_>) {
    let text = b"SELECT abalance FROM pgbench_accounts WHERE aid = 12345";
    let message = write(|out| encode::query(out, text).expect("a small message"));
    let mut scanner = FrontendScanner::at(FrontendPhase::Session);
    bencher.bench_local(|| {
        let scanned = scanner.scan(black_box(&message));
        scanner.taken(message.len());
        scanned
    });
}

/// Parse, Bind, Describe, Execute, Sync in one read.
#[divan::bench]
fn request_extended_pipeline(bencher: Bencher<'_, '_>) {
    let mut stream = write(|out| encode::parse(out, b"", b"SELECT $1", &[]).expect("small"));
    stream.extend(bind());
    stream.extend(write(|out| {
        let portal = wire_postgres::query::Target::Portal(b"");
        encode::describe(out, portal).expect("small");
        encode::execute(out, b"", 0).expect("small");
        encode::sync(out);
    }));
    let mut scanner = FrontendScanner::at(FrontendPhase::Session);
    bencher.bench_local(|| {
        let (mut at, mut messages) = (0, 0);
        while let Ok(Scanned::Whole(head)) = scanner.scan(black_box(&stream[at..])) {
            scanner.taken(head.len);
            at += head.len;
            messages += 1;
        }
        messages
    });
}

/// RowDescription is over; 100 rows and their end in one read.
#[divan::bench]
fn reply_hundred_rows(bencher: Bencher<'_, '_>) {
    let mut stream = row().repeat(100);
    stream.extend(write(|out| encode::command_complete(out, b"SELECT 100").expect("small")));
    let mut scanner = BackendScanner::at(BackendPhase::Session);
    bencher.bench_local(|| {
        let (mut at, mut rows) = (0, 0);
        while let Ok(Scanned::Whole(head)) = scanner.scan(black_box(&stream[at..])) {
            scanner.taken(head.len);
            at += head.len;
            rows += usize::from(head.tag == tags::backend::DATA_ROW);
        }
        rows
    });
}

#[divan::bench]
fn view_bind(bencher: Bencher<'_, '_>) {
    let message = bind();
    bencher.bench_local(|| {
        let (_, body) = split(black_box(&message))?;
        Some(Bind::parse(body).ok()?.statement.len())
    });
}

#[divan::bench]
fn view_parse(bencher: Bencher<'_, '_>) {
    let message = write(|out| encode::parse(out, b"s1", b"SELECT $1", &[23]).expect("small"));
    bencher.bench_local(|| {
        let (_, body) = split(black_box(&message))?;
        Some(ParseMessage::parse(body).ok()?.query.len())
    });
}

#[divan::bench]
fn view_data_row(bencher: Bencher<'_, '_>) {
    let message = row();
    bencher.bench_local(|| {
        let (_, body) = split(black_box(&message))?;
        Some(DataRow::parse(body).ok()?.values().flatten().map(<[u8]>::len).sum::<usize>())
    });
}
