//! Finding out that the other end of a connection has gone without a word.
//!
//! A machine that loses power or a NAT that forgets a connection sends nothing. A write that
//! waits on such a connection keeps a barrier from becoming quiet, a client that is not there
//! keeps its connections. The kernel asks, so that a server that only takes long is not
//! disturbed: it answers for as long as the machine lives.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time before the kernel asks for the first time.
const IDLE: Duration = Duration::from_secs(20);
/// Time between questions.
const AGAIN: Duration = Duration::from_secs(5);
/// Questions without an answer that end a connection.
const QUESTIONS: u32 = 4;
/// How long sent bytes may stay unacknowledged by the other kernel (`TCP_USER_TIMEOUT`, tcp(7));
/// without it that is about 15 minutes (`tcp_retries2`).
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Small pieces go out at once, and an end that is gone is noticed within 40 s.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(IDLE).with_interval(AGAIN).with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_watched() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), IDLE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), QUESTIONS);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}
