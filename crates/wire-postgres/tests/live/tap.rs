//! Stands between a client and the server and keeps every byte of both.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use wire_postgres::BackendScanner;

use crate::content;
use crate::walk::{Client, Scan, walk};

/// What one connection said.
pub(crate) struct Recording {
    pub(crate) client: Vec<u8>,
    pub(crate) server: Vec<u8>,
}

pub(crate) struct Tap {
    pub(crate) port: u16,
    connections: JoinHandle<Vec<Recording>>,
}

impl Tap {
    /// For this many connections.
    pub(crate) fn start(server: u16, count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let connections = thread::spawn(move || {
            let copies: Vec<_> = (0..count)
                .map(|_| {
                    let (client, _) = listener.accept().expect("a client");
                    let server = TcpStream::connect(("127.0.0.1", server)).expect("the server");
                    let other = (client.try_clone(), server.try_clone());
                    let (Ok(client2), Ok(server2)) = other else { panic!("sockets are cloned") };
                    (
                        thread::spawn(move || copy(client, server)),
                        thread::spawn(move || copy(server2, client2)),
                    )
                })
                .collect();
            copies
                .into_iter()
                .map(|(client, server)| Recording {
                    client: client.join().expect("copied"),
                    server: server.join().expect("copied"),
                })
                .collect()
        });
        Self { port, connections }
    }

    /// Everything, once all connections are closed.
    pub(crate) fn finish(self) -> Vec<Recording> {
        self.connections.join().expect("all is recorded")
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..bytes]);
        // What is said to somebody who left was said all the same.
        let _ = to.write_all(&buffer[..bytes]);
    }
    let _ = to.shutdown(Shutdown::Write);
    kept
}

/// Type and bytes of every message.
pub(crate) type Messages<'a> = Vec<(u8, &'a [u8])>;

impl Recording {
    /// What the client said, read in random cuts, every message looked into. `answers`: how many
    /// authentication requests it had to answer.
    pub(crate) fn asked(&self, answers: usize) -> Messages<'_> {
        let messages = cut(&self.client, &Client::new(answers));
        for (tag, message) in &messages {
            match tag {
                0 => content::startup(message).expect("a startup packet"),
                _ => content::frontend(message).expect("a client's message"),
            }
        }
        messages
    }

    /// What the server said after `skip` single bytes.
    pub(crate) fn answered(&self, skip: usize) -> Messages<'_> {
        let messages = cut(&self.server[skip..], &BackendScanner::new());
        for (_, message) in &messages {
            content::backend(message).expect("a server's message");
        }
        messages
    }
}

fn cut<'a, S: Scan + Clone>(stream: &'a [u8], scanner: &S) -> Messages<'a> {
    let whole = walk(scanner.clone(), stream, &[], false);
    assert_eq!(whole.1, None, "the stream is in step");
    assert_eq!(whole.0.last().map_or(0, |(_, end)| *end), stream.len(), "nothing is left over");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 1..=24 {
        let cuts: Vec<usize> = (0..round * 40)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as usize
            })
            .collect();
        for parts in [false, true] {
            assert_eq!(walk(scanner.clone(), stream, &cuts, parts), whole);
        }
    }
    let every: Vec<usize> = (0..stream.len().min(20_000)).collect();
    assert_eq!(walk(scanner.clone(), stream, &every, true), whole);
    let mut from = 0;
    whole
        .0
        .into_iter()
        .map(|(tag, end)| (tag, &stream[std::mem::replace(&mut from, end)..end]))
        .collect()
}
