//! One blocking connection of a foreign client, with outcomes instead of errors.
//!
//! A call ends in one of three ways, and the ledger depends on never confusing them: the server
//! answered (`Ok` or [`Fault::No`]), nothing was sent ([`Fault::NotSent`]), or nobody can tell
//! ([`Fault::Unknown`]). After `Unknown` the connection is useless and must be dropped.

use std::time::Duration;

use redis::{
    Cmd, Connection, ConnectionAddr, ConnectionLike, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, Value,
};

/// Where a server listens and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User and password; `None` connects as the server's default user.
    pub login: Option<(String, String)>,
}

impl Address {
    /// A server on this machine, as its default user.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, login: None }
    }

    /// The same server, as another user.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// `host:port`.
    #[must_use]
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why a call has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server answered with an error: the command was not applied.
    #[error("refused: {0}")]
    No(String),
    /// The connection broke or timed out with the command on its way: applied or not.
    #[error("unknown outcome: {0}")]
    Unknown(String),
    /// No connection could be made: nothing was sent.
    #[error("not sent: {0}")]
    NotSent(String),
}

/// A blocking connection. Not shared; drop it after [`Fault::Unknown`].
pub struct Conn {
    inner: Connection,
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn").field("open", &self.inner.is_open()).finish()
    }
}

impl Conn {
    /// Connects, authenticates and selects `db`; every later read or write of the socket is
    /// bounded by `timeout`. Speaks RESP2.
    pub fn open(address: &Address, db: i64, timeout: Duration) -> Result<Self, Fault> {
        Self::open_speaking(address, db, timeout, ProtocolVersion::RESP2)
    }

    /// Like [`Conn::open`], in the given version of the protocol.
    pub fn open_speaking(
        address: &Address,
        db: i64,
        timeout: Duration,
        protocol: ProtocolVersion,
    ) -> Result<Self, Fault> {
        let not_sent = |e: RedisError| Fault::NotSent(short(&e));
        let mut settings = RedisConnectionInfo::default().set_db(db).set_protocol(protocol);
        if let Some((user, password)) = &address.login {
            settings = settings.set_username(user).set_password(password);
        }
        let addr = ConnectionAddr::Tcp(address.host.clone(), address.port);
        let info = addr.into_connection_info().map_err(not_sent)?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = redis::Client::open(info).map_err(not_sent)?;
        let inner = client.get_connection_with_timeout(timeout).map_err(not_sent)?;
        inner.set_read_timeout(Some(timeout)).map_err(not_sent)?;
        inner.set_write_timeout(Some(timeout)).map_err(not_sent)?;
        Ok(Self { inner })
    }

    /// Sends one command and waits for its reply.
    pub fn call(&mut self, command: &Cmd) -> Result<Value, Fault> {
        self.send(&command.get_packed_command())?;
        self.receive()
    }

    /// Sends all commands at once and collects each one's reply. `Err` only if the connection
    /// broke; a refused command is an inner error.
    pub fn batch(&mut self, commands: &[Cmd]) -> Result<Vec<Result<Value, String>>, Fault> {
        let mut bytes = Vec::with_capacity(commands.len() * 64);
        for command in commands {
            command.write_packed_command(&mut bytes);
        }
        self.send(&bytes)?;
        self.receive_many(commands.len())
    }

    /// Like [`Conn::batch`], but any refused command fails the whole call.
    pub fn batch_ok(&mut self, commands: &[Cmd]) -> Result<Vec<Value>, Fault> {
        let replies = self.batch(commands)?;
        replies.into_iter().map(|r| r.map_err(Fault::No)).collect()
    }

    /// Sends bytes that are already commands; no bytes are no commands.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.inner.send_packed_command(bytes).map_err(|e| Fault::Unknown(short(&e)))
    }

    /// Reads one reply.
    pub fn receive(&mut self) -> Result<Value, Fault> {
        match self.inner.recv_response() {
            Ok(Value::ServerError(e)) => {
                Err(Fault::No(format!("{} {}", e.code(), e.details().unwrap_or_default())))
            }
            Ok(value) => Ok(value),
            Err(e) if is_answer(&e) => Err(Fault::No(short(&e))),
            Err(e) => Err(Fault::Unknown(short(&e))),
        }
    }

    /// Reads `count` replies; `Err` only if the connection broke.
    pub fn receive_many(&mut self, count: usize) -> Result<Vec<Result<Value, String>>, Fault> {
        let mut replies = Vec::with_capacity(count);
        for _ in 0..count {
            replies.push(match self.receive() {
                Ok(value) => Ok(value),
                Err(Fault::No(text)) => Err(text),
                Err(broken) => return Err(broken),
            });
        }
        Ok(replies)
    }

    /// The client library's own connection, for subscriptions.
    pub fn inner(&mut self) -> &mut Connection {
        &mut self.inner
    }
}

fn is_answer(e: &RedisError) -> bool {
    use redis::ErrorKind as K;
    matches!(e.kind(), K::Server(_) | K::Extension)
}

/// One line, without the parts of a message that vary from call to call.
fn short(e: &RedisError) -> String {
    if e.is_timeout() {
        return "timed out".to_owned();
    }
    let text = e.to_string();
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
