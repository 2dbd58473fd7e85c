//! Where a client's request begins and ends.
//!
//! Constraints: iterative, allocates nothing, never looks at a byte twice however the input is
//! cut, accepts nothing that a server refuses and reads nothing differently from a server.
//! Stricter than a server in two ways: an argument must be followed by CR LF, and a request line
//! may not contain NUL.
//!
//! Life: [`RequestScanner::scan`] with the input from the first untaken byte, until it says
//! where the request ends; [`RequestScanner::taken`]; again. A large request may be taken in
//! parts ([`RequestScanner::pending`], then [`RequestScanner::rest`]).

use memchr::memchr;
use thiserror::Error;

use crate::limits::{ARGUMENTS_MAX, BULK_BYTES_MAX, INLINE_BYTES_MAX};
use crate::scan_number::strict;

/// What is at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// Not all there yet.
    More,
    /// An empty request, which is not answered: skip these bytes.
    Empty(usize),
    /// A whole request in array form of this many bytes.
    Array(usize),
    /// A whole request line of this many bytes, line end included.
    Inline(usize),
}

/// How far an incomplete request has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Bytes at the front that are certainly part of it.
    pub bytes: usize,
    /// Arguments that are completely there.
    pub arguments: usize,
    /// Arguments it announced.
    pub announced: usize,
    /// Bytes of the argument that is arriving which are still missing, its CR LF included.
    pub missing: usize,
}

/// Why the input is not a request. A server closes the connection after saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A request line is too long.
    #[error("too big inline request")]
    InlineTooLong,
    /// The line that announces the arguments is too long.
    #[error("too big mbulk count string")]
    CountTooLong,
    /// The number of arguments is not a number or out of range.
    #[error("invalid multibulk length")]
    BadCount,
    /// The line that announces an argument is too long.
    #[error("too big bulk count string")]
    LengthTooLong,
    /// An argument does not begin with a dollar sign.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NotBulk(u8),
    /// The length of an argument is not a number or out of range.
    #[error("invalid bulk length")]
    BadLength,
    /// An argument is not followed by CR LF (a server does not look).
    #[error("invalid bulk terminator")]
    BadTerminator,
    /// A request line contains NUL (a server would wait for its end forever).
    #[error("invalid inline request")]
    BadInline,
}

/// Finds the ends of requests.
#[derive(Debug, Clone, Default)]
pub struct RequestScanner {
    /// Bytes of the input that have been understood.
    at: usize,
    /// For a request line: bytes searched for its end.
    searched: usize,
    announced: usize,
    arguments: usize,
    /// The announced array is open.
    open: bool,
    /// Bytes left of the argument at `at`, its CR LF included; 0 between arguments.
    left: usize,
}

impl RequestScanner {
    /// At the beginning of a request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from where the last call stopped. `input` begins with the first untaken byte.
    ///
    /// # Errors
    /// When it is not a request. The connection is useless then.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Result<Scanned, RequestError> {
        if !self.open {
            match input.first() {
                None => return Ok(Scanned::More),
                Some(b'*') => {}
                Some(_) => return self.inline(input),
            }
            let Some((count, end)) = line(input, 1, RequestError::CountTooLong)? else {
                return Ok(Scanned::More);
            };
            let count = strict(count).ok_or(RequestError::BadCount)?;
            if count > ARGUMENTS_MAX {
                return Err(RequestError::BadCount);
            }
            if count <= 0 {
                return Ok(Scanned::Empty(end));
            }
            self.open = true;
            self.at = end;
            self.announced = usize::try_from(count).map_err(|_| RequestError::BadCount)?;
        }
        Ok(if self.arguments(input)? { Scanned::Array(self.at) } else { Scanned::More })
    }

    /// Whether the last argument is complete.
    fn arguments(&mut self, input: &[u8]) -> Result<bool, RequestError> {
        loop {
            if self.left > 0 {
                let have = input.len() - self.at;
                if have < self.left {
                    return Ok(false);
                }
                let end = self.at + self.left;
                if input[end - 2..end] != *b"\r\n" {
                    return Err(RequestError::BadTerminator);
                }
                self.at = end;
                self.left = 0;
                self.arguments += 1;
            }
            if self.arguments == self.announced {
                return Ok(true);
            }
            match input.get(self.at) {
                None => return Ok(false),
                Some(b'$') => {}
                Some(&other) => return Err(RequestError::NotBulk(other)),
            }
            let Some((length, end)) = line(input, self.at + 1, RequestError::LengthTooLong)? else {
                return Ok(false);
            };
            let length = strict(length).filter(|l| (0..=BULK_BYTES_MAX).contains(l));
            let length = length.and_then(|l| usize::try_from(l).ok());
            self.left = length.ok_or(RequestError::BadLength)? + 2;
            self.at = end;
        }
    }

    fn inline(&mut self, input: &[u8]) -> Result<Scanned, RequestError> {
        let fresh = &input[self.searched..];
        let Some(at) = memchr(b'\n', fresh) else {
            if input.len() > INLINE_BYTES_MAX {
                return Err(RequestError::InlineTooLong);
            }
            self.searched = input.len();
            return Ok(Scanned::More);
        };
        let end = self.searched + at + 1;
        if end - 1 > INLINE_BYTES_MAX {
            return Err(RequestError::InlineTooLong);
        }
        if memchr(0, &input[..end]).is_some() {
            return Err(RequestError::BadInline);
        }
        let blank = input[..end].iter().all(u8::is_ascii_whitespace);
        Ok(if blank { Scanned::Empty(end) } else { Scanned::Inline(end) })
    }

    /// After [`Scanned::More`]: how far the request has come. `None` between requests, in a
    /// request line, and while its first line is incomplete.
    #[must_use]
    pub fn pending(&self, input: &[u8]) -> Option<Pending> {
        self.open.then(|| {
            let have = input.len().saturating_sub(self.at).min(self.left.saturating_sub(2));
            Pending {
                bytes: self.at + have,
                arguments: self.arguments,
                announced: self.announced,
                missing: self.left - have,
            }
        })
    }

    /// The first `len` bytes of the input were taken. A request taken whole leaves the scanner
    /// at the beginning of the next; one taken in part goes on with [`RequestScanner::rest`].
    pub fn taken(&mut self, len: usize) {
        let complete = self.open && self.left == 0 && self.arguments == self.announced;
        if !self.open || complete || len == 0 {
            *self = Self::new();
            return;
        }
        if len > self.at {
            // Into the argument that is arriving: its last two bytes stay checkable because a
            // part never ends between them and the end (see `rest`).
            self.left -= (len - self.at).min(self.left);
            self.at = 0;
        } else {
            self.at -= len;
        }
    }

    /// For a request taken in part: how many bytes at the front of the input belong to it, and
    /// whether that is all of it. Never ends a part inside an argument's CR LF.
    ///
    /// # Errors
    /// See [`RequestScanner::scan`].
    pub fn rest(&mut self, input: &[u8]) -> Result<(usize, bool), RequestError> {
        if self.arguments(input)? {
            return Ok((self.at, true));
        }
        let have = input.len() - self.at;
        Ok((self.at + have.min(self.left.saturating_sub(2)), false))
    }
}

/// The text from `from` to the next CR, and where the line after it begins.
fn line(
    input: &[u8],
    from: usize,
    too_long: RequestError,
) -> Result<Option<(&[u8], usize)>, RequestError> {
    let rest = input.get(from..).unwrap_or_default();
    // A count or length is a few digits: look there before searching.
    let window = &rest[..rest.len().min(INLINE_BYTES_MAX + 2)];
    let at = match window.iter().take(4).position(|b| *b == b'\r') {
        Some(at) => at,
        None => match memchr(b'\r', window) {
            Some(at) => at,
            None if window.len() > INLINE_BYTES_MAX => return Err(too_long),
            None => return Ok(None),
        },
    };
    match rest.get(at + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((&rest[..at], from + at + 2))),
        Some(_) => Err(RequestError::BadTerminator),
    }
}

/// The arguments of a whole request in array form, or of the part of one that has arrived: ends
/// after the last complete argument.
#[derive(Debug, Clone)]
pub struct Arguments<'a> {
    raw: &'a [u8],
    left: usize,
}

impl<'a> Arguments<'a> {
    /// `raw` begins with the request's first byte.
    #[must_use]
    #[inline]
    pub fn new(raw: &'a [u8]) -> Self {
        match line(raw, 1, RequestError::CountTooLong) {
            Ok(Some((count, end))) if raw[0] == b'*' => {
                let left = strict(count).and_then(|c| usize::try_from(c).ok()).unwrap_or(0);
                Self { raw: &raw[end..], left }
            }
            _ => Self { raw: &[], left: 0 },
        }
    }

    /// How many arguments are announced and not yet returned.
    #[must_use]
    pub const fn announced(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let (length, start) = line(self.raw, 1, RequestError::LengthTooLong).ok()??;
        let length = usize::try_from(strict(length)?).ok()?;
        let end = start.checked_add(length)?;
        let argument = self.raw.get(start..end)?;
        self.raw = self.raw.get(end + 2..)?;
        self.left -= 1;
        Some(argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expect: Result<Scanned, RequestError>) {
        assert_eq!(RequestScanner::new().scan(input), expect, "{}", input.escape_ascii());
        // The same, a byte at a time: never more, and the same end.
        let mut scanner = RequestScanner::new();
        let last = (0..=input.len())
            .map(|n| scanner.scan(&input[..n]))
            .find(|s| !matches!(s, Ok(Scanned::More)))
            .unwrap_or(Ok(Scanned::More));
        assert_eq!(last, expect, "bytewise {}", input.escape_ascii());
    }

    #[test]
    fn ends_of_requests() {
        check(b"*1\r\n$4\r\nPING\r\n", Ok(Scanned::Array(14)));
        check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", Ok(Scanned::Array(19)));
        check(b"PING\r\n", Ok(Scanned::Inline(6)));
        check(b"PING\n", Ok(Scanned::Inline(5)));
        check(b"\r\n", Ok(Scanned::Empty(2)));
        check(b"*0\r\n", Ok(Scanned::Empty(4)));
        check(b"*-5\r\n", Ok(Scanned::Empty(5)));
        check(b"*1\r\n$4\r\nPIN", Ok(Scanned::More));
    }

    #[test]
    fn refused_like_a_server_refuses() {
        check(b"*2147483648\r\n", Err(RequestError::BadCount));
        check(b"*x\r\n", Err(RequestError::BadCount));
        check(b"*1\r\n+PING\r\n", Err(RequestError::NotBulk(b'+')));
        check(b"*1\r\n$-1\r\n", Err(RequestError::BadLength));
        check(b"*1\r\n$536870913\r\n", Err(RequestError::BadLength));
        check(b"*1\r\n$4\r\nPINGxx", Err(RequestError::BadTerminator));
        check(&[b'a'; INLINE_BYTES_MAX + 1], Err(RequestError::InlineTooLong));
        let mut long = vec![b'*'];
        long.extend_from_slice(&[b'1'; INLINE_BYTES_MAX + 2]);
        check(&long, Err(RequestError::CountTooLong));
        check(b"GET a\0b\r\n", Err(RequestError::BadInline));
    }

    #[test]
    fn arguments_of_a_part() {
        let raw = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\nabc";
        assert_eq!(Arguments::new(raw).collect::<Vec<_>>(), [&b"SET"[..], b"k"]);
        assert_eq!(Arguments::new(b"PING\r\n").count(), 0);
        assert_eq!(Arguments::new(b"*1\r\n$99999999999999999999\r\n").count(), 0);
    }

    #[test]
    fn a_large_request_in_parts() {
        let mut raw = b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000\r\n".to_vec();
        raw.extend_from_slice(&[b'v'; 3000]);
        raw.extend_from_slice(b"\r\n$2\r\nNX\r\n*1\r\n$4\r\nPING\r\n");
        let whole = raw.len() - 14;
        for cut in 27..whole {
            let mut scanner = RequestScanner::new();
            assert_eq!(scanner.scan(&raw[..cut]), Ok(Scanned::More));
            let (mut n, mut last) = scanner.rest(&raw[..cut]).unwrap();
            let mut taken = 0;
            loop {
                taken += n;
                scanner.taken(n);
                if last {
                    break;
                }
                let to = raw.len().min(taken + 1000);
                (n, last) = scanner.rest(&raw[taken..to]).unwrap();
                if n == 0 {
                    (n, last) = scanner.rest(&raw[taken..]).unwrap();
                }
            }
            assert_eq!(taken, whole, "cut at {cut}");
            assert_eq!(scanner.scan(&raw[taken..]), Ok(Scanned::Array(14)));
        }
    }
}
