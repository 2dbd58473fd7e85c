//! CommandComplete: what was done, and to how many rows.

use crate::error::MessageError;
use crate::read::Reader;

/// Tag of a completed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandTag<'a> {
    /// The whole tag as the server wrote it.
    pub text: &'a [u8],
}

impl<'a> CommandTag<'a> {
    /// Reads the content of a CommandComplete.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let text = reader.string()?;
        reader.end()?;
        Ok(Self { text })
    }

    /// The command: the tag without its numbers, as in `INSERT`, `CREATE TABLE`.
    #[must_use]
    pub fn command(&self) -> &'a [u8] {
        let end = self.text.iter().position(u8::is_ascii_digit).unwrap_or(self.text.len());
        self.text[..end].trim_ascii_end()
    }

    /// How many rows it returned or changed, for commands that say so. `INSERT` says an OID
    /// before it.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let at = self.text.iter().rposition(|byte| *byte == b' ')?;
        let digits = &self.text[at + 1..];
        if digits.is_empty() {
            return None;
        }
        digits.iter().try_fold(0u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_rows() {
        for (text, command, rows) in [
            ("INSERT 0 12", "INSERT", Some(12)),
            ("SELECT 0", "SELECT", Some(0)),
            ("CREATE TABLE", "CREATE TABLE", None),
            ("CREATE TABLE AS", "CREATE TABLE AS", None),
            ("COPY 18446744073709551615", "COPY", Some(u64::MAX)),
            ("COPY 18446744073709551616", "COPY", None),
            ("BEGIN", "BEGIN", None),
            ("", "", None),
            ("COMMIT PREPARED", "COMMIT PREPARED", None),
        ] {
            let body = [text.as_bytes(), b"\0"].concat();
            let tag = CommandTag::parse(&body).unwrap();
            assert_eq!((tag.command(), tag.rows()), (command.as_bytes(), rows), "{text}");
        }
        assert_eq!(CommandTag::parse(b"BEGIN").unwrap_err(), MessageError::String);
        assert_eq!(CommandTag::parse(b"BEGIN\0x").unwrap_err(), MessageError::Trailing);
    }
}
