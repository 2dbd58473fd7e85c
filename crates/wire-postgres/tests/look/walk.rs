//! Walks a stream with a scanner, cut anywhere; shared by tests and fuzz targets.

use wire_postgres::{
    BackendScanner, FrameError, FrontendPhase, FrontendScanner, Head, Scanned, tags,
};

/// Either direction.
pub(crate) trait Scan {
    fn scan(&mut self, input: &[u8]) -> Result<Scanned, FrameError>;
    fn taken(&mut self, bytes: usize, tag: u8);
}

impl Scan for BackendScanner {
    fn scan(&mut self, input: &[u8]) -> Result<Scanned, FrameError> {
        self.scan(input)
    }

    fn taken(&mut self, bytes: usize, _: u8) {
        self.taken(bytes);
    }
}

/// A client that is let in after so many answers.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) scanner: FrontendScanner,
    pub(crate) answers: usize,
}

impl Client {
    pub(crate) fn new(answers: usize) -> Self {
        Self { scanner: FrontendScanner::new(), answers }
    }
}

impl Scan for Client {
    fn scan(&mut self, input: &[u8]) -> Result<Scanned, FrameError> {
        self.scanner.scan(input)
    }

    fn taken(&mut self, bytes: usize, tag: u8) {
        self.scanner.taken(bytes);
        if !self.scanner.between() || self.scanner.phase() != FrontendPhase::Authentication {
            return;
        }
        self.answers -= usize::from(tag != tags::STARTUP);
        if self.answers == 0 {
            self.scanner.enter(FrontendPhase::Session);
        }
    }
}

/// Type and end of every message, and why the stream was refused, if it was.
pub(crate) type Walked = (Vec<(u8, usize)>, Option<FrameError>);

/// Reads `stream` in pieces that end at `cuts`. `parts`: a message that has begun is taken as far
/// as it is there, so that nothing is ever kept.
pub(crate) fn walk<S: Scan>(mut scanner: S, stream: &[u8], cuts: &[usize], parts: bool) -> Walked {
    let mut pieces: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    pieces.push(stream.len());
    pieces.sort_unstable();
    let (mut from, mut ends) = (0, Vec::new());
    for to in pieces {
        while from < to {
            let input = &stream[from..to];
            let (tag, bytes, done) = match scanner.scan(input) {
                Err(error) => return (ends, Some(error)),
                Ok(Scanned::Whole(Head { tag, len })) => (tag, len, true),
                Ok(Scanned::Begun(Head { tag, .. })) if parts => (tag, input.len(), false),
                Ok(Scanned::Rest { tag, bytes, done }) => (tag, bytes, done),
                Ok(Scanned::More | Scanned::Begun(_)) => break,
            };
            scanner.taken(bytes, tag);
            from += bytes;
            if done {
                ends.push((tag, from));
            }
        }
    }
    (ends, None)
}
