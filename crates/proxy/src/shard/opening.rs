//! What comes before a session: TLS, asked for in the family's own way or begun at once.
//!
//! No byte is taken from the socket that the family has not asked to see, so that nothing a
//! client sent in the clear is ever read as if it had come encrypted.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use family::{Offer, Opening, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_rustls::TlsAcceptor;

use super::Shard;
use super::stream::Stream;

/// Most bytes looked at before a session.
const LOOKED_AT_MAX: usize = 1024;
/// Most questions answered before a session.
const QUESTIONS_MAX: usize = 8;

/// A connection on which a session may begin.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) write: Option<OwnedWriteHalf>,
    /// What was read of the session already.
    pub(super) input: Vec<u8>,
}

/// Does what the client asks for before its session. `None`: the connection is over.
pub(super) async fn open<P: Protocol>(
    shard: &Rc<Shard<P>>,
    mut stream: TcpStream,
    address: SocketAddr,
) -> Option<Opened> {
    let tls = shard.shared.tls();
    let offer = if tls.is_some() { Offer::Tls } else { Offer::Plain };
    for _ in 0..QUESTIONS_MAX {
        // What is asked for can often be told without a byte, or from one that stays unread.
        let mut input = Vec::new();
        let mut opening = shard.protocol.opening(&[], offer);
        if opening == Opening::More(1) {
            let mut first = [0];
            if stream.peek(&mut first).await.ok()? == 0 {
                return None;
            }
            opening = shard.protocol.opening(&first, offer);
        }
        loop {
            let wanted = match opening {
                Opening::More(wanted) if wanted > input.len() && wanted <= LOOKED_AT_MAX => wanted,
                _ => break,
            };
            let had = input.len();
            input.resize(wanted, 0);
            stream.read_exact(&mut input[had..]).await.ok()?;
            opening = shard.protocol.opening(&input, offer);
        }
        match opening {
            Opening::Session => {
                let (stream, write) = Stream::plain(stream);
                return Some(Opened { stream, write: Some(write), input });
            }
            Opening::Decline(answer) => stream.write_all(answer).await.ok()?,
            Opening::Tls { answer, alpn } => {
                let tls = tls.map(Arc::clone)?;
                if !answer.is_empty() {
                    if unread(&stream).await {
                        tracing::debug!(%address, "plain text behind a request for TLS");
                        return None;
                    }
                    stream.write_all(answer).await.ok()?;
                }
                return encrypt(tls, stream, address, alpn).await;
            }
            Opening::Refuse(words) => {
                let _ = stream.write_all(&words).await;
                let _ = stream.shutdown().await;
                return None;
            }
            Opening::More(_) => return None,
        }
    }
    None
}

/// Whether the client has sent something that it should have kept until it was answered.
async fn unread(stream: &TcpStream) -> bool {
    let mut byte = [0];
    poll_fn(|cx| {
        let mut byte = ReadBuf::new(&mut byte);
        Poll::Ready(matches!(stream.poll_peek(cx, &mut byte), Poll::Ready(Ok(n)) if n > 0))
    })
    .await
}

async fn encrypt(
    tls: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    address: SocketAddr,
    alpn: Option<&[u8]>,
) -> Option<Opened> {
    let stream = match TlsAcceptor::from(tls).accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%address, %error, "TLS handshake failed");
            return None;
        }
    };
    if alpn.is_some() && stream.get_ref().1.alpn_protocol() != alpn {
        tracing::debug!(%address, "TLS without the protocol it is for");
        return None;
    }
    Some(Opened { stream: Stream::Server(Box::new(stream)), write: None, input: Vec::new() })
}
