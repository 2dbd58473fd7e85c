//! Packets of the startup phase, which have a length word and no type byte.

use crate::error::MessageError;
use crate::limits::{CANCEL_KEY_MAX, CANCEL_KEY_MIN};
use crate::read::Reader;

/// `CANCEL_REQUEST_CODE`, `src/include/libpq/pqcomm.h`.
pub const CANCEL_CODE: u32 = 1234 << 16 | 5678;
/// `NEGOTIATE_SSL_CODE`, same file.
pub const SSL_CODE: u32 = 1234 << 16 | 5679;
/// `NEGOTIATE_GSS_CODE`, same file.
pub const GSSENC_CODE: u32 = 1234 << 16 | 5680;

/// Version of the protocol: 16 bits each of major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// What every client since 2003 speaks.
    pub const V3_0: Self = Self(3 << 16);
    /// PostgreSQL 18: cancel keys of variable length.
    pub const V3_2: Self = Self(3 << 16 | 2);

    /// The part that says whether two ends understand each other at all.
    #[must_use]
    pub fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The part that is negotiated down.
    #[must_use]
    pub fn minor(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

/// A packet of the startup phase.
///
/// After [`StartupPacket::Ssl`] and [`StartupPacket::Gssenc`] a client waits for one byte. What
/// it sent before that byte must not be read as if it had come encrypted: a server refuses it.
#[derive(Debug, Clone, Copy)]
pub enum StartupPacket<'a> {
    /// A session is to begin.
    Startup(Startup<'a>),
    /// TLS, please.
    Ssl,
    /// GSSAPI encryption, please.
    Gssenc,
    /// A statement of another connection is to be cancelled. Nothing is answered.
    Cancel(Cancel<'a>),
}

impl<'a> StartupPacket<'a> {
    /// Reads a whole packet, length word included.
    ///
    /// # Errors
    /// When it is none. A version that is not 3 is no error here: what follows it is not read.
    pub fn parse(packet: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(packet);
        if reader.u32()? as usize != packet.len() {
            return Err(MessageError::Count("length"));
        }
        Ok(match reader.u32()? {
            SSL_CODE => Self::Ssl,
            GSSENC_CODE => Self::Gssenc,
            CANCEL_CODE => {
                let pid = reader.u32()?;
                let key = key(reader.rest())?;
                Self::Cancel(Cancel { pid, key })
            }
            code => Self::Startup(Startup::parse(Version(code), reader.rest())?),
        })
    }
}

/// A cancel key, bounded as the protocol says.
pub(crate) fn key(bytes: &[u8]) -> Result<&[u8], MessageError> {
    match bytes.len() {
        CANCEL_KEY_MIN..=CANCEL_KEY_MAX => Ok(bytes),
        _ => Err(MessageError::Count("cancel key")),
    }
}

/// CancelRequest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel<'a> {
    /// Process of the session that is meant.
    pub pid: u32,
    /// Its secret: 4 bytes, in protocol 3.2 up to 256.
    pub key: &'a [u8],
}

/// StartupMessage.
#[derive(Debug, Clone, Copy)]
pub struct Startup<'a> {
    /// What the client would like to speak.
    pub version: Version,
    parameters: &'a [u8],
}

impl<'a> Startup<'a> {
    fn parse(version: Version, parameters: &'a [u8]) -> Result<Self, MessageError> {
        if version.major() != 3 {
            return Ok(Self { version, parameters: &[] });
        }
        let mut reader = Reader::new(parameters);
        loop {
            let name = reader.string().map_err(|_| MessageError::StartupLayout)?;
            if name.is_empty() {
                break;
            }
            reader.string().map_err(|_| MessageError::StartupLayout)?;
        }
        reader.end().map_err(|_| MessageError::StartupLayout)?;
        Ok(Self { version, parameters })
    }

    /// Names and values in the order of the client. A name may come twice: the last one counts.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.parameters);
        std::iter::from_fn(move || {
            let name = reader.string().ok().filter(|name| !name.is_empty())?;
            Some((name, reader.string().ok()?))
        })
    }

    /// Value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.parameters().filter(|(n, _)| *n == name.as_bytes()).last().map(|(_, value)| value)
    }

    /// Options of the protocol itself (`_pq_.…`), which a server may answer as not understood.
    pub fn protocol_options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parameters().map(|(name, _)| name).filter(|name| name.starts_with(b"_pq_."))
    }
}

/// NegotiateProtocolVersion: a server speaks less than was asked for.
#[derive(Debug, Clone, Copy)]
pub struct NegotiateVersion<'a> {
    /// The newest version it speaks of this major version. The documentation has only the minor
    /// part here, servers send the whole version: both forms are read.
    pub version: Version,
    options: crate::read::Items<'a>,
}

impl<'a> NegotiateVersion<'a> {
    /// Reads the content of a NegotiateProtocolVersion.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let version = match reader.u32()? {
            minor @ 0..=0xffff => Version(3 << 16 | minor),
            whole => Version(whole),
        };
        let count = usize::try_from(reader.i32()?).map_err(|_| MessageError::Count("count"))?;
        let options = crate::read::Items::check(&mut reader, count, Reader::string)?;
        reader.end()?;
        Ok(Self { version, options })
    }

    /// Names of protocol options it does not understand.
    pub fn options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut items = self.options;
        std::iter::from_fn(move || items.next(Reader::string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
        let mut out = (8 + rest.len() as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(rest);
        out
    }

    #[test]
    fn parameters_are_pairs_up_to_the_last_byte() {
        let whole = packet(Version::V3_2.0, b"user\0a\0user\0b\0_pq_.x\0\0\0");
        let StartupPacket::Startup(startup) = StartupPacket::parse(&whole).unwrap() else {
            panic!("a startup message");
        };
        assert_eq!(startup.get("user"), Some(&b"b"[..]));
        assert_eq!(startup.get("database"), None);
        assert_eq!(startup.protocol_options().collect::<Vec<_>>(), [b"_pq_.x"]);
        for bad in [&b""[..], b"user\0a\0", b"user\0", b"user\0\0", b"\0\0", b"user\0a\0\0x"] {
            let bad = packet(Version::V3_0.0, bad);
            assert_eq!(StartupPacket::parse(&bad).unwrap_err(), MessageError::StartupLayout);
        }
    }

    #[test]
    fn cancel_keys_have_bounds() {
        for (len, fits) in [(3, false), (4, true), (32, true), (256, true), (257, false)] {
            let mut rest = 7u32.to_be_bytes().to_vec();
            rest.extend(std::iter::repeat_n(9, len));
            let whole = packet(CANCEL_CODE, &rest);
            assert_eq!(StartupPacket::parse(&whole).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn the_version_may_be_whole_or_only_its_minor_part() {
        for said in [0u32, Version::V3_0.0] {
            let body = [said.to_be_bytes(), 1u32.to_be_bytes(), *b"_pq_"].concat();
            let body = [&body[..], b".a\0"].concat();
            let read = NegotiateVersion::parse(&body).unwrap();
            assert_eq!(read.version, Version::V3_0);
            assert_eq!(read.options().collect::<Vec<_>>(), [b"_pq_.a"]);
        }
    }
}
