//! What is at the front of a client's input: messages become requests.
//!
//! A request is a simple query, a function call, or extended messages up to a Sync or a Flush.
//! A message too large to wait for becomes an open request of its own. Nothing is understood
//! here but where things begin and end.

use wire_postgres::tags::{self, frontend as tag};
use wire_postgres::{FrameError, FrontendPhase, FrontendScanner, Head, Scanned};

/// Extended messages that are collected before they are sent without waiting for a Sync; also
/// the largest message that is waited for.
const COLLECT_MAX: usize = 256 * 1024;

/// What is at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// Not enough to tell.
    More,
    /// So many extended messages, and no Sync yet.
    Run { len: usize, count: u32 },
    /// The same, and the client will not say Flush although it has to be answered.
    Cut { len: usize, count: u32 },
    /// So many extended messages and a Sync.
    Sync { len: usize, count: u32 },
    /// A simple query.
    Query { len: usize },
    /// A function call.
    Function { len: usize },
    /// The beginning of a large message; its type.
    Large { len: usize, tag: u8 },
    /// More of a large message.
    Rest { len: usize, last: bool },
    /// COPY data, or part of it.
    Data { len: usize, last: bool },
    /// CopyDone or CopyFail.
    DataEnd { len: usize },
    /// Flush without anything before it.
    Flush { len: usize },
    /// Good-bye.
    Terminate { len: usize },
    /// Not the protocol.
    Malformed(FrameError),
}

/// Looks at a client's input.
pub(super) struct Looker {
    scanner: FrontendScanner,
    /// Bytes of whole extended messages at the front, and how many messages they are.
    at: usize,
    count: u32,
    /// What was found and is still at the front.
    found: Option<Front>,
    /// The large message being passed on is COPY data.
    data: bool,
}

impl Looker {
    pub(super) fn new() -> Self {
        Self {
            scanner: FrontendScanner::at(FrontendPhase::Session),
            at: 0,
            count: 0,
            found: None,
            data: false,
        }
    }

    /// What is at the front of the input.
    pub(super) fn look(&mut self, input: &[u8]) -> Front {
        if let Some(found) = self.found {
            return found;
        }
        let found = self.scan(input);
        if found != Front::More {
            self.found = Some(found);
        }
        found
    }

    /// What was found last.
    pub(super) fn front(&self) -> Front {
        self.found.unwrap_or(Front::More)
    }

    /// What was found was taken.
    pub(super) fn taken(&mut self) {
        (self.at, self.count, self.found) = (0, 0, None);
    }

    fn scan(&mut self, input: &[u8]) -> Front {
        loop {
            let rest = &input[self.at..];
            let scanned = match self.scanner.scan(rest) {
                Ok(scanned) => scanned,
                Err(_) if self.at > 0 => return self.cut(),
                Err(error) => return Front::Malformed(error),
            };
            match scanned {
                Scanned::More if self.at >= COLLECT_MAX => return self.run(),
                Scanned::More => return Front::More,
                Scanned::Rest { bytes, done, .. } => {
                    self.scanner.taken(bytes);
                    return match self.data {
                        true => Front::Data { len: bytes, last: done },
                        false => Front::Rest { len: bytes, last: done },
                    };
                }
                Scanned::Begun(head) => match self.begun(head, rest.len()) {
                    Some(front) => return front,
                    None => return Front::More,
                },
                Scanned::Whole(head) => {
                    if let Some(front) = self.whole(head) {
                        return front;
                    }
                }
            }
        }
    }

    /// A message that is not all there.
    fn begun(&mut self, head: Head, there: usize) -> Option<Front> {
        let data = head.tag == tags::COPY_DATA;
        if !data && self.at + head.len <= COLLECT_MAX {
            return None;
        }
        if self.at > 0 {
            return Some(self.run());
        }
        self.scanner.taken(there);
        self.data = data;
        Some(match data {
            true => Front::Data { len: there, last: false },
            false => Front::Large { len: there, tag: head.tag },
        })
    }

    /// A whole message. `None`: it is collected, look on.
    fn whole(&mut self, head: Head) -> Option<Front> {
        let len = head.len;
        match head.tag {
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {
                self.scanner.taken(len);
                self.at += len;
                self.count += 1;
                return (self.at >= COLLECT_MAX).then(|| self.run());
            }
            tag::SYNC => {
                self.scanner.taken(len);
                return Some(Front::Sync { len: self.at + len, count: self.count });
            }
            tag::FLUSH if self.at > 0 => {
                self.scanner.taken(len);
                return Some(Front::Run { len: self.at + len, count: self.count });
            }
            // Nothing will follow that makes the server answer what was collected.
            tag::TERMINATE if self.at > 0 => return Some(self.cut()),
            _ if self.at > 0 => return Some(self.run()),
            _ => {}
        }
        self.scanner.taken(len);
        Some(match head.tag {
            tag::QUERY => Front::Query { len },
            tag::FUNCTION_CALL => Front::Function { len },
            tag::FLUSH => Front::Flush { len },
            tag::TERMINATE => Front::Terminate { len },
            tags::COPY_DATA => Front::Data { len, last: true },
            _ => Front::DataEnd { len },
        })
    }

    fn run(&self) -> Front {
        Front::Run { len: self.at, count: self.count }
    }

    fn cut(&self) -> Front {
        Front::Cut { len: self.at, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use wire_postgres::encode;

    use super::*;

    fn input(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        write(&mut out);
        out.to_vec()
    }

    #[test]
    fn messages_become_requests_wherever_they_are_cut() {
        let bytes = input(|b| {
            encode::query(b, b"select 1").unwrap();
            encode::parse(b, b"", b"select 2", &[]).unwrap();
            encode::execute(b, b"", 0).unwrap();
            encode::sync(b);
            encode::parse(b, b"", b"select 3", &[]).unwrap();
            encode::flush(b);
            encode::parse(b, b"", b"select 4", &[]).unwrap();
            encode::query(b, b"select 5").unwrap();
            encode::copy_data(b, b"1234").unwrap();
            encode::copy_done(b);
            encode::terminate(b);
        });
        for step in 1..bytes.len() {
            let mut looker = Looker::new();
            let (mut from, mut to, mut kinds) = (0, 0, String::new());
            while from < bytes.len() {
                let len = match looker.look(&bytes[from..to]) {
                    Front::More => {
                        to = (to + step).min(bytes.len());
                        continue;
                    }
                    Front::Query { len } => {
                        kinds.push('Q');
                        len
                    }
                    Front::Sync { len, count } => {
                        kinds.push_str(&format!("S{count}"));
                        len
                    }
                    Front::Run { len, count } => {
                        kinds.push_str(&format!("R{count}"));
                        len
                    }
                    Front::Data { len, last } => {
                        if last {
                            kinds.push('d');
                        }
                        len
                    }
                    Front::DataEnd { len } => {
                        kinds.push('c');
                        len
                    }
                    Front::Terminate { len } => {
                        kinds.push('X');
                        len
                    }
                    other => panic!("{other:?}"),
                };
                looker.taken();
                from += len;
            }
            assert_eq!(kinds, "QS2R1R1QdcX", "{step}");
        }
    }

    #[test]
    fn large_messages_pass_in_parts() {
        let text = vec![b'x'; 2 * COLLECT_MAX];
        let bytes = input(|b| {
            encode::parse(b, b"", b"select 1", &[]).unwrap();
            encode::query(b, &text).unwrap();
            encode::sync(b);
        });
        let mut looker = Looker::new();
        let Front::Run { len, count: 1 } = looker.look(&bytes[..1000]) else { panic!("a run") };
        looker.taken();
        let rest = &bytes[len..];
        assert_eq!(looker.look(&rest[..500]), Front::Large { len: 500, tag: b'Q' });
        looker.taken();
        let left = text.len() + 6 - 500;
        assert_eq!(looker.look(&rest[500..]), Front::Rest { len: left, last: true });
        looker.taken();
        assert_eq!(looker.look(&rest[500 + left..]), Front::Sync { len: 5, count: 0 });
    }

    #[test]
    fn garbage_comes_behind_what_was_asked_before() {
        let mut bytes = input(|b| encode::parse(b, b"", b"select 1", &[]).unwrap());
        let len = bytes.len();
        bytes.extend_from_slice(b"?????");
        let mut looker = Looker::new();
        assert_eq!(looker.look(&bytes), Front::Cut { len, count: 1 });
        looker.taken();
        assert_eq!(looker.look(&bytes[len..]), Front::Malformed(FrameError::FrontendType(b'?')));
    }
}
