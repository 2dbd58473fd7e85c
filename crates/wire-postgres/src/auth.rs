//! Authentication: what a server asks and what a client answers. Passwords and mechanism
//! messages are opaque here.

use crate::error::MessageError;
use crate::read::{Items, Reader};

/// What a server asks.
#[derive(Debug, Clone, Copy)]
pub enum Authentication<'a> {
    /// Nothing more: the client is let in.
    Ok,
    /// Kerberos V5, which no server of today asks for.
    KerberosV5,
    /// The password as it is.
    Cleartext,
    /// The password hashed with user name and salt.
    Md5 {
        /// Random bytes.
        salt: [u8; 4],
    },
    /// A GSSAPI token.
    Gss,
    /// The next GSSAPI or SSPI token.
    GssContinue(&'a [u8]),
    /// An SSPI token.
    Sspi,
    /// SASL, by one of these mechanisms.
    Sasl(Mechanisms<'a>),
    /// A challenge of the mechanism.
    SaslContinue(&'a [u8]),
    /// The last word of the mechanism.
    SaslFinal(&'a [u8]),
}

/// SASL mechanisms a server offers, the best first.
#[derive(Debug, Clone, Copy)]
pub struct Mechanisms<'a>(Items<'a>);

impl<'a> Mechanisms<'a> {
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut items = self.0;
        std::iter::from_fn(move || items.next(Reader::string))
    }
}

impl<'a> Authentication<'a> {
    /// Reads the content of an authentication request.
    ///
    /// # Errors
    /// When it is none, or of a kind that nobody speaks any more.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let asked = match reader.u32()? {
            0 => Self::Ok,
            2 => Self::KerberosV5,
            3 => Self::Cleartext,
            5 => Self::Md5 { salt: reader.u32()?.to_be_bytes() },
            7 => Self::Gss,
            8 => Self::GssContinue(reader.rest()),
            9 => Self::Sspi,
            10 => Self::Sasl(mechanisms(&mut reader)?),
            11 => Self::SaslContinue(reader.rest()),
            12 => Self::SaslFinal(reader.rest()),
            value => return Err(MessageError::Code { what: "authentication request", value }),
        };
        reader.end()?;
        Ok(asked)
    }
}

fn mechanisms<'a>(reader: &mut Reader<'a>) -> Result<Mechanisms<'a>, MessageError> {
    let mut items = Items { left: 0, reader: *reader };
    while !reader.string()?.is_empty() {
        items.left += 1;
    }
    Ok(Mechanisms(items))
}

/// A password as it came or hashed, without its NUL.
///
/// # Errors
/// When it is no single string.
pub fn password(body: &[u8]) -> Result<&[u8], MessageError> {
    let mut reader = Reader::new(body);
    let password = reader.string()?;
    reader.end()?;
    Ok(password)
}

/// SASLInitialResponse: the mechanism a client chose, and its first message if it has one.
/// SASLResponse has no form of its own: its content is the mechanism's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaslInitial<'a> {
    /// Name of the mechanism.
    pub mechanism: &'a [u8],
    /// Its first message.
    pub response: Option<&'a [u8]>,
}

impl<'a> SaslInitial<'a> {
    /// Reads the content of the first answer to [`Authentication::Sasl`].
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body);
        let read = Self { mechanism: reader.string()?, response: reader.nullable()? };
        reader.end()?;
        Ok(read)
    }
}
