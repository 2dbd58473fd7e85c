//! Where a server's message begins and ends, for forwarding it without understanding it.
//!
//! Constraints: iterative and resumable; consumes what is there, so that a message of any size
//! passes in bounded memory; allocates only for nesting; RESP2 and RESP3 including streamed
//! strings and aggregates; no panic on any input.
//!
//! A line (a count, a length, a status, an error) is consumed only when it is complete.

use memchr::memchr;
use thiserror::Error;

use crate::limits::{REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ITEMS_MAX, REPLY_LINE_BYTES_MAX};
use crate::scan_number::strict;

/// Why the input is not a reply. The connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The first byte names no type.
    #[error("unknown reply type byte 0x{0:02x}")]
    UnknownType(u8),
    /// A count or length is not a number or out of range.
    #[error("invalid length in a reply")]
    BadLength,
    /// A line is longer than the limit.
    #[error("reply line too long")]
    LineTooLong,
    /// A line or string does not end in CR LF.
    #[error("reply not terminated by CR LF")]
    BadTerminator,
    /// Nested deeper than the limit.
    #[error("reply nested too deeply")]
    TooDeep,
    /// A part of a streamed string or aggregate where there is none.
    #[error("streamed reply out of order")]
    OutOfOrder,
}

/// An aggregate that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// Items left.
    Items(u64),
    /// Items left of an attribute: what follows is the message it belongs to.
    Attribute(u64),
    /// Until `.`.
    Streamed,
    /// Chunks until an empty one.
    StreamedString,
}

/// Finds the ends of messages.
#[derive(Debug, Default)]
pub struct ReplyScanner {
    open: Vec<Open>,
    /// Bytes left of a string, its CR LF included.
    left: u64,
}

impl ReplyScanner {
    /// At the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no message is half consumed.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.open.is_empty() && self.left == 0
    }

    /// How many bytes at the front of the input belong to the message, and whether it ends
    /// there. They are consumed: the next input begins behind them.
    ///
    /// # Errors
    /// When it is not a message.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Result<(usize, bool), ReplyError> {
        let mut at = 0;
        loop {
            if self.left > 0 {
                let rest = (input.len() - at) as u64;
                let take = rest.min(self.left);
                check_end(&input[at..], self.left)?;
                at += take as usize;
                self.left -= take;
                if self.left > 0 {
                    return Ok((at, false));
                }
                if self.item() {
                    return Ok((at, true));
                }
            }
            let Some(&tag) = input.get(at) else { return Ok((at, false)) };
            let Some((text, end)) = line(&input[at..], tag)? else { return Ok((at, false)) };
            at += end;
            let complete = match tag {
                b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => self.item_checked()?,
                b'$' | b'=' | b'!' => self.string(tag, text)?,
                b'*' | b'~' | b'>' => self.aggregate(text, 1, false)?,
                b'%' => self.aggregate(text, 2, false)?,
                b'|' => self.aggregate(text, 2, true)?,
                b';' => self.chunk(text)?,
                _ => self.streamed_end()?,
            };
            if complete {
                return Ok((at, true));
            }
        }
    }

    fn item_checked(&mut self) -> Result<bool, ReplyError> {
        if self.open.last() == Some(&Open::StreamedString) {
            return Err(ReplyError::OutOfOrder);
        }
        Ok(self.item())
    }

    /// One item is complete. Whether the message is.
    fn item(&mut self) -> bool {
        loop {
            match self.open.last_mut() {
                None => return true,
                Some(Open::Streamed | Open::StreamedString) => return false,
                Some(Open::Items(left)) => {
                    *left -= 1;
                    if *left > 0 {
                        return false;
                    }
                    self.open.pop();
                }
                Some(Open::Attribute(left)) => {
                    *left -= 1;
                    if *left == 0 {
                        self.open.pop();
                    }
                    return false;
                }
            }
        }
    }

    fn string(&mut self, tag: u8, text: &[u8]) -> Result<bool, ReplyError> {
        if self.open.last() == Some(&Open::StreamedString) {
            return Err(ReplyError::OutOfOrder);
        }
        match text {
            b"-1" if tag == b'$' => return Ok(self.item()),
            b"?" if tag == b'$' => return self.push(Open::StreamedString).map(|()| false),
            _ => {}
        }
        self.left = length(text)? + 2;
        Ok(false)
    }

    fn chunk(&mut self, text: &[u8]) -> Result<bool, ReplyError> {
        if self.open.last() != Some(&Open::StreamedString) {
            return Err(ReplyError::OutOfOrder);
        }
        match length(text)? {
            0 => {
                self.open.pop();
                Ok(self.item())
            }
            n => {
                self.left = n + 2;
                Ok(false)
            }
        }
    }

    fn streamed_end(&mut self) -> Result<bool, ReplyError> {
        if self.open.pop() != Some(Open::Streamed) {
            return Err(ReplyError::OutOfOrder);
        }
        Ok(self.item())
    }

    fn aggregate(
        &mut self,
        text: &[u8],
        per_entry: u64,
        attribute: bool,
    ) -> Result<bool, ReplyError> {
        if self.open.last() == Some(&Open::StreamedString) {
            return Err(ReplyError::OutOfOrder);
        }
        match text {
            b"-1" if per_entry == 1 => return Ok(self.item()),
            b"?" if !attribute => return self.push(Open::Streamed).map(|()| false),
            _ => {}
        }
        let count = strict(text).filter(|n| (0..=REPLY_ITEMS_MAX).contains(n));
        let count = count.and_then(|n| u64::try_from(n).ok()).ok_or(ReplyError::BadLength)?;
        match (count * per_entry, attribute) {
            (0, true) => Ok(false),
            (0, false) => Ok(self.item()),
            (n, true) => self.push(Open::Attribute(n)).map(|()| false),
            (n, false) => self.push(Open::Items(n)).map(|()| false),
        }
    }

    fn push(&mut self, open: Open) -> Result<(), ReplyError> {
        if self.open.len() >= REPLY_DEPTH_MAX {
            return Err(ReplyError::TooDeep);
        }
        self.open.push(open);
        Ok(())
    }
}

fn length(text: &[u8]) -> Result<u64, ReplyError> {
    strict(text)
        .filter(|n| (0..=REPLY_BULK_BYTES_MAX).contains(n))
        .and_then(|n| u64::try_from(n).ok())
        .ok_or(ReplyError::BadLength)
}

/// Checks as much of the CR LF that ends a string as is in `rest`, of which `left` bytes belong
/// to the string and its end.
fn check_end(rest: &[u8], left: u64) -> Result<(), ReplyError> {
    let byte = |behind: u64| {
        let at = usize::try_from(left.checked_sub(behind)?).ok()?;
        rest.get(at).copied()
    };
    if byte(2).is_some_and(|b| b != b'\r') || byte(1).is_some_and(|b| b != b'\n') {
        return Err(ReplyError::BadTerminator);
    }
    Ok(())
}

/// The text of the line that begins with `tag`, and where the next begins.
#[inline]
fn line(input: &[u8], tag: u8) -> Result<Option<(&[u8], usize)>, ReplyError> {
    if !matches!(
        tag,
        b'+' | b'-'
            | b':'
            | b'$'
            | b'*'
            | b'%'
            | b'~'
            | b'>'
            | b'|'
            | b'='
            | b'!'
            | b'_'
            | b','
            | b'#'
            | b'('
            | b';'
            | b'.'
    ) {
        return Err(ReplyError::UnknownType(tag));
    }
    let window = &input[..input.len().min(REPLY_LINE_BYTES_MAX + 2)];
    let at = match window.iter().take(5).position(|b| *b == b'\r') {
        Some(at) => at,
        None => match memchr(b'\r', window) {
            Some(at) => at,
            None if window.len() > REPLY_LINE_BYTES_MAX => return Err(ReplyError::LineTooLong),
            None => return Ok(None),
        },
    };
    match input.get(at + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((&input[1..at], at + 2))),
        Some(_) => Err(ReplyError::BadTerminator),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8]) {
        let mut whole = ReplyScanner::new();
        assert_eq!(whole.scan(input), Ok((input.len(), true)), "{}", input.escape_ascii());
        assert!(whole.idle());
        // Bytewise: the same end, and never before.
        let mut scanner = ReplyScanner::new();
        let mut from = 0;
        for to in 1..=input.len() {
            let (n, done) = scanner.scan(&input[from..to]).unwrap();
            from += n;
            assert_eq!(done, to == input.len(), "{} at {to}", input.escape_ascii());
        }
        assert_eq!(from, input.len());
    }

    #[test]
    fn every_type() {
        for message in [
            "+OK\r\n",
            "-ERR x\r\n",
            ":-12\r\n",
            "$3\r\nabc\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n:1\r\n$1\r\na\r\n",
            "%1\r\n+a\r\n*1\r\n:1\r\n",
            "~1\r\n_\r\n",
            ">2\r\n+message\r\n#t\r\n",
            ",1.5\r\n",
            "(123456789\r\n",
            "!5\r\nERR x\r\n",
            "=7\r\ntxt:abc\r\n",
            "|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n",
            "*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n",
            "$?\r\n;3\r\nabc\r\n;2\r\nde\r\n;0\r\n",
            "*?\r\n:1\r\n*1\r\n:2\r\n.\r\n",
            "%?\r\n+a\r\n:1\r\n.\r\n",
            "*1\r\n*1\r\n*1\r\n*0\r\n",
            "|0\r\n:1\r\n",
            "%0\r\n",
        ] {
            check(message.as_bytes());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (input, expect) in [
            ("x\r\n", ReplyError::UnknownType(b'x')),
            ("$-2\r\n", ReplyError::BadLength),
            ("*99999999999\r\n", ReplyError::BadLength),
            ("$1\r\nabc", ReplyError::BadTerminator),
            (".\r\n", ReplyError::OutOfOrder),
            (";1\r\na\r\n", ReplyError::OutOfOrder),
            ("$?\r\n:1\r\n", ReplyError::OutOfOrder),
            ("+a\rb", ReplyError::BadTerminator),
        ] {
            assert_eq!(ReplyScanner::new().scan(input.as_bytes()), Err(expect), "{input}");
        }
        let deep = "*1\r\n".repeat(REPLY_DEPTH_MAX + 1);
        assert_eq!(ReplyScanner::new().scan(deep.as_bytes()), Err(ReplyError::TooDeep));
        let long = vec![b'+'; REPLY_LINE_BYTES_MAX + 8];
        assert_eq!(ReplyScanner::new().scan(&long), Err(ReplyError::LineTooLong));
    }
}
