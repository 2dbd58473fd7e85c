use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use family::conformance::Puppet;
use model::Key;

use crate::server::{Server, Value, dataset_key};

/// A foreign client of a fake server.
pub struct FakePuppet(pub Arc<Server>);

#[async_trait]
impl Puppet for FakePuppet {
    fn key(&self, name: &str) -> Key {
        dataset_key("d0", name)
    }

    async fn write(&self, name: &str, value: &str) -> Result<(), String> {
        let value = Some(Value::plain(value.as_bytes()));
        if self.0.put(&self.key(name), value) { Ok(()) } else { Err("fenced".into()) }
    }

    async fn delete(&self, name: &str) -> Result<(), String> {
        if self.0.put(&self.key(name), None) { Ok(()) } else { Err("fenced".into()) }
    }

    async fn expire(&self, name: &str, after: Duration) -> bool {
        let Some(mut value) = self.0.get(&self.key(name)) else { return false };
        value.expires_at = Some(self.0.now_ms() + after.as_millis() as u64);
        self.0.put(&self.key(name), Some(value));
        // What a real server does in its own time, this one does when it is looked at.
        let server = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(after + Duration::from_millis(1)).await;
            let _ = server.records();
        });
        true
    }

    async fn rename(&self, from: &str, to: &str) -> bool {
        let value = self.0.get(&self.key(from));
        self.0.put(&self.key(from), None) && self.0.put(&self.key(to), value)
    }

    async fn flush(&self) -> bool {
        self.0.flush();
        true
    }

    async fn read(&self, name: &str) -> Option<String> {
        let value = self.0.get(&self.key(name))?;
        Some(String::from_utf8_lossy(&value.bytes).into_owned())
    }
}
