//! Reading the parts of an RDB value body that transcoding needs.
//!
//! Constraints: no panic on any input, every length checked against what is there, nothing
//! allocated beyond what the input can decompress to (bounded by [`STRING_BYTES_MAX`]).
//!
//! Lengths and strings: <https://github.com/redis/redis/blob/7.0/src/rdb.h#L42>; compression:
//! <https://github.com/redis/redis/blob/7.0/src/lzf_d.c>; listpack:
//! <https://github.com/antirez/listpack/blob/master/listpack.md>.

/// Largest string taken from a payload, in bytes.
const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A length, or the announcement of a specially encoded string.
enum Length {
    Plain(u64),
    Int(usize),
    Compressed,
}

/// A reading position in a body.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn length_or_encoding(&mut self) -> Option<Length> {
        let first = self.byte()?;
        Some(match first >> 6 {
            0 => Length::Plain(u64::from(first & 0x3f)),
            1 => Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => {
                Length::Plain(u64::from(u32::from_be_bytes(*self.take(4)?.first_chunk()?)))
            }
            2 if first == 0x81 => Length::Plain(u64::from_be_bytes(*self.take(8)?.first_chunk()?)),
            3 => match first & 0x3f {
                0 => Length::Int(1),
                1 => Length::Int(2),
                2 => Length::Int(4),
                3 => Length::Compressed,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// A plain length.
    pub(crate) fn length(&mut self) -> Option<u64> {
        match self.length_or_encoding()? {
            Length::Plain(n) => Some(n),
            _ => None,
        }
    }

    /// Steps over a string without decoding it.
    pub(crate) fn skip_string(&mut self) -> Option<()> {
        let n = match self.length_or_encoding()? {
            Length::Plain(n) => usize::try_from(n).ok()?,
            Length::Int(n) => n,
            Length::Compressed => {
                let compressed = usize::try_from(self.length()?).ok()?;
                self.length()?;
                compressed
            }
        };
        self.take(n).map(|_| ())
    }

    /// A string of bytes (not one stored as an integer), decompressed.
    pub(crate) fn string(&mut self) -> Option<Vec<u8>> {
        match self.length_or_encoding()? {
            Length::Plain(n) => self.take(usize::try_from(n).ok()?).map(<[u8]>::to_vec),
            Length::Int(_) => None,
            Length::Compressed => {
                let compressed = usize::try_from(self.length()?).ok()?;
                let whole = usize::try_from(self.length()?).ok()?;
                decompress(self.take(compressed)?, whole)
            }
        }
    }
}

fn decompress(input: &[u8], whole: usize) -> Option<Vec<u8>> {
    // One byte of input yields at most 264 bytes; a larger claim is a lie.
    if whole > STRING_BYTES_MAX || whole > input.len().checked_mul(264)? {
        return None;
    }
    let mut input = Cursor::new(input);
    let mut out: Vec<u8> = Vec::with_capacity(whole);
    while !input.is_empty() {
        let control = usize::from(input.byte()?);
        if control < 32 {
            out.extend_from_slice(input.take(control + 1)?);
        } else {
            let mut n = control >> 5;
            if n == 7 {
                n += usize::from(input.byte()?);
            }
            let back = ((control & 0x1f) << 8 | usize::from(input.byte()?)) + 1;
            let from = out.len().checked_sub(back)?;
            // The reference may overlap what it produces.
            for at in from..from + n + 2 {
                out.push(*out.get(at)?);
            }
        }
        if out.len() > whole {
            return None;
        }
    }
    (out.len() == whole).then_some(out)
}

/// Appends a plain length.
pub(crate) fn put_length(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=0x3f => out.push(n as u8),
        0x40..=0x3fff => out.extend_from_slice(&(0x4000 | n as u16).to_be_bytes()),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

/// Appends a plain string.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The entries of a listpack as strings; integers in decimal.
pub(crate) fn listpack(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut at = Cursor::new(bytes);
    let total = u32::from_le_bytes(*at.take(4)?.first_chunk()?);
    if usize::try_from(total).ok()? != bytes.len() {
        return None;
    }
    at.take(2)?;
    let mut entries = Vec::new();
    loop {
        let before = at.left();
        let first = at.byte()?;
        let entry = match first {
            0xff => return at.is_empty().then_some(entries),
            0x00..=0x7f => i64::from(first).to_string().into_bytes(),
            0x80..=0xbf => at.take(usize::from(first & 0x3f))?.to_vec(),
            0xc0..=0xdf => {
                let raw = u16::from(first & 0x1f) << 8 | u16::from(at.byte()?);
                // 13 bits, two's complement.
                let value = i64::from((raw << 3) as i16 >> 3);
                value.to_string().into_bytes()
            }
            0xe0..=0xef => {
                let n = usize::from(first & 0x0f) << 8 | usize::from(at.byte()?);
                at.take(n)?.to_vec()
            }
            0xf0 => {
                let n = u32::from_le_bytes(*at.take(4)?.first_chunk()?);
                at.take(usize::try_from(n).ok()?)?.to_vec()
            }
            0xf1..=0xf4 => {
                let width = [2, 3, 4, 8][usize::from(first - 0xf1)];
                let mut wide = [0u8; 8];
                wide[8 - width..].copy_from_slice(at.take(width)?);
                (i64::from_le_bytes(wide) >> (8 * (8 - width))).to_string().into_bytes()
            }
            0xf5..=0xfe => return None,
        };
        let size = before - at.left();
        at.take(match size {
            0..=127 => 1,
            128..=16_383 => 2,
            16_384..=2_097_151 => 3,
            2_097_152..=268_435_455 => 4,
            _ => 5,
        })?;
        entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for n in [0, 63, 64, 16_383, 16_384, 0xffff_ffff, 1 << 40, u64::MAX] {
            let mut out = Vec::new();
            put_length(&mut out, n);
            assert_eq!(Cursor::new(&out).length(), Some(n));
        }
    }

    #[test]
    fn compressed_strings() {
        // "ab" literal, then 8 bytes from 2 back.
        let lzf = [0x01, b'a', b'b', 0xc0, 0x01];
        let mut body = vec![0xc3, lzf.len() as u8, 10];
        body.extend_from_slice(&lzf);
        assert_eq!(Cursor::new(&body).string().unwrap(), b"ababababab");
        body[2] = 11;
        assert_eq!(Cursor::new(&body).string(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(input: Vec<u8>) {
            let _ = listpack(&input);
            let _ = Cursor::new(&input).string();
            let _ = Cursor::new(&input).skip_string();
        }
    }
}
