//! A TCP or TLS connection, either end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::{client, server};

/// The reading end; for TLS also the writing end.
pub(crate) enum Stream {
    Plain(OwnedReadHalf),
    Client(Box<client::TlsStream<TcpStream>>),
    Server(Box<server::TlsStream<TcpStream>>),
}

impl Stream {
    /// Splits a plain connection: its writing end can be used by whoever has a reply for it.
    pub(crate) fn plain(stream: TcpStream) -> (Self, OwnedWriteHalf) {
        let (read, write) = stream.into_split();
        (Self::Plain(read), write)
    }

    /// Reads into `buffer`; 0 is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let done = match self {
            Self::Plain(s) => Pin::new(s).poll_read(cx, &mut buffer),
            Self::Client(s) => Pin::new(s).poll_read(cx, &mut buffer),
            Self::Server(s) => Pin::new(s).poll_read(cx, &mut buffer),
        };
        done.map_ok(|()| buffer.filled().len())
    }

    /// Writes through TLS. Never called for a plain connection.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Self::Client(s) => Pin::new(s).poll_write(cx, data),
            Self::Server(s) => Pin::new(s).poll_write(cx, data),
        }
    }

    /// Pushes what TLS has buffered to the socket.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Client(s) => Pin::new(s).poll_flush(cx),
            Self::Server(s) => Pin::new(s).poll_flush(cx),
        }
    }
}

/// Writes as much of `data` as the connection takes.
pub(crate) fn poll_write(
    stream: &mut Stream,
    half: Option<&OwnedWriteHalf>,
    cx: &mut Context<'_>,
    data: &[u8],
) -> Poll<io::Result<usize>> {
    let Some(half) = half else { return stream.poll_write(cx, data) };
    loop {
        match half.try_write(data) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
        match half.as_ref().poll_write_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
