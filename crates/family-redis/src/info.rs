//! `INFO` as fields.

use std::collections::HashMap;

use family::PortError;

use crate::conn::Conn;
use crate::error;

/// The fields of one or more `INFO` sections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Info(HashMap<String, String>);

impl Info {
    /// Asks for one section (`server`, `memory`, …) or for `everything`.
    pub(crate) async fn ask(conn: &mut Conn, section: &str) -> Result<Self, PortError> {
        let reply = conn.ask(&[b"INFO", section.as_bytes()]).await?;
        let text = reply.as_bytes().ok_or_else(|| error::unexpected("INFO", conn.at()))?;
        Ok(Self::parse(&String::from_utf8_lossy(text)))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Self(fields.map(|(k, v)| (k.to_owned(), v.trim_end().to_owned())).collect())
    }

    /// A field, empty when the server does not tell.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// A numeric field, 0 when the server does not tell.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.text(field).parse().unwrap_or(0)
    }

    /// Databases in use with their key counts, from the `keyspace` section.
    pub(crate) fn keyspace(&self) -> Vec<(u16, u64)> {
        let mut found: Vec<(u16, u64)> = self
            .0
            .iter()
            .filter_map(|(field, value)| {
                let db = field.strip_prefix("db")?.parse().ok()?;
                let keys = value.split(',').find_map(|p| p.strip_prefix("keys="))?.parse().ok()?;
                Some((db, keys))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Who serves: `valkey` where the server names itself so, else `redis` (or what it says).
    pub(crate) fn product(&self) -> String {
        match self.text("server_name") {
            "" if !self.text("dragonfly_version").is_empty() => "dragonfly".into(),
            "" => "redis".into(),
            name => name.to_owned(),
        }
    }

    /// The version by its own product's count.
    pub(crate) fn version(&self) -> String {
        match self.text("valkey_version") {
            "" => self.text("redis_version").to_owned(),
            version => version.to_owned(),
        }
    }

    /// Redis-compatible major version, 0 when unknown.
    pub(crate) fn compatible_major(&self) -> u32 {
        self.text("redis_version").split('.').next().and_then(|m| m.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n\
             # Keyspace\r\ndb3:keys=2,expires=0,avg_ttl=0\r\ndb0:keys=10,expires=1,avg_ttl=5\r\n",
        );
        assert_eq!(info.keyspace(), vec![(0, 10), (3, 2)]);
        assert_eq!((info.product().as_str(), info.version().as_str()), ("valkey", "8.0.1"));
        assert_eq!(info.compatible_major(), 7);
        assert_eq!(info.number("absent"), 0);
    }
}
