//! `CLIENT LIST` as rows, and killing by id.

use family::PortError;
use wire_redis::Value;

use crate::conn::Conn;
use crate::error;

/// One line of `CLIENT LIST`, what we use of it.
///
/// Fields: <https://redis.io/docs/latest/commands/client-list/>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientRow {
    pub(crate) id: i64,
    pub(crate) addr: String,
    pub(crate) name: String,
    pub(crate) flags: String,
    pub(crate) user: String,
    pub(crate) last_command: String,
}

impl ClientRow {
    fn parse(line: &str) -> Option<Self> {
        let field = |name: &str| {
            line.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            id: field("id")?.parse().ok()?,
            addr: field("addr").unwrap_or_default().to_owned(),
            name: field("name").unwrap_or_default().to_owned(),
            flags: field("flags").unwrap_or_default().to_owned(),
            user: field("user").unwrap_or_default().to_owned(),
            last_command: field("cmd").unwrap_or_default().to_owned(),
        })
    }

    /// A replica, a master link or a monitor of the server itself rather than an application.
    pub(crate) fn is_replication(&self) -> bool {
        self.flags.contains(['S', 'M'])
    }

    /// Waiting in a blocking command.
    pub(crate) fn is_blocked(&self) -> bool {
        self.flags.contains('b')
    }
}

/// Everyone connected.
pub(crate) async fn list(conn: &mut Conn) -> Result<Vec<ClientRow>, PortError> {
    let reply = conn.ask(&[b"CLIENT", b"LIST"]).await?;
    let text = reply.as_str().ok_or_else(|| error::unexpected("CLIENT LIST", conn.at()))?;
    Ok(text.lines().filter_map(ClientRow::parse).collect())
}

/// Kills the connections `choose` picks, never `conn` itself, until none of them is listed any
/// more. Returns how many there were.
pub(crate) async fn kill(
    conn: &mut Conn,
    choose: impl Fn(&ClientRow) -> bool,
) -> Result<usize, PortError> {
    const ROUNDS: usize = 10;
    let own = conn.id();
    let mut killed = 0;
    for _ in 0..ROUNDS {
        let chosen: Vec<i64> = list(conn)
            .await?
            .into_iter()
            .filter(|row| row.id != own && choose(row))
            .map(|row| row.id)
            .collect();
        if chosen.is_empty() {
            return Ok(killed);
        }
        killed = killed.max(chosen.len());
        for id in &chosen {
            conn.queue(&[b"CLIENT", b"KILL", b"ID", id.to_string().as_bytes()]);
        }
        for _ in &chosen {
            // 0 or "No such client": gone already.
            match conn.next().await? {
                Value::Error(text) if text.starts_with(b"NOPERM") => {
                    let text = String::from_utf8_lossy(&text);
                    return Err(error::from_reply(&text, "CLIENT KILL", conn.at()));
                }
                _ => {}
            }
        }
    }
    Err(error::unreachable(conn.at(), "killed connections stay listed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let line = "id=7 addr=127.0.0.1:5 laddr=127.0.0.1:6379 fd=8 name=exodus:m:1 age=1 idle=0 \
                    flags=b db=0 cmd=blpop user=app redir=-1 resp=2";
        let row = ClientRow::parse(line).unwrap();
        assert_eq!((row.id, row.name.as_str(), row.user.as_str()), (7, "exodus:m:1", "app"));
        assert!(row.is_blocked() && !row.is_replication());
        assert_eq!(ClientRow::parse("nonsense"), None);
    }
}
