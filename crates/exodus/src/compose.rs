//! The composition root: which families this binary knows, and how each is put together from its
//! cold path, its protocol and a client for scripts.

mod postgres;
mod postgres_client;
mod redis;
mod redis_client;

use std::sync::Arc;

use control::plugin::FamilyPlugin;

/// Every family of this binary.
#[must_use]
pub fn plugins() -> Vec<Arc<dyn FamilyPlugin>> {
    vec![redis::RedisPlugin::new(), postgres::PostgresPlugin::new()]
}
