//! One process: its migrations, its doors, its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::Problem;
use parking_lot::RwLock;
use serde_json::{Value, json};
use store::{Batch, Change, Kind, Store};

use crate::auth::{Tokens, random_hex};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Document};
use crate::http;
use crate::migration::{Common, Migration};
use crate::plugin::FamilyPlugin;
use crate::samples;

/// How long a stopping process lets busy clients finish.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a process serves.
pub struct Settings {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where the first admin token is left.
    pub state_dir: PathBuf,
    /// Listen on an address that others can reach although there is no TLS.
    pub insecure: bool,
    /// Text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// One process.
pub struct Server {
    pub(crate) common: Common,
    pub(crate) plugins: Vec<Arc<dyn FamilyPlugin>>,
    pub(crate) migrations: RwLock<BTreeMap<String, Arc<Migration>>>,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Settings,
    /// One creation at a time.
    creating: tokio::sync::Mutex<()>,
}

impl Server {
    /// Prepares a process on an open store.
    ///
    /// # Errors
    /// When the store cannot be read, or the address may not be listened on.
    pub async fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        plugins: Vec<Arc<dyn FamilyPlugin>>,
    ) -> anyhow::Result<Arc<Self>> {
        if !settings.listen.ip().is_loopback() && !settings.insecure {
            anyhow::bail!(
                "EXO-API-430: {} can be reached from elsewhere and has no TLS; listen on \
                 127.0.0.1 behind a proxy with TLS, or force it with --insecure",
                settings.listen
            );
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let tokens =
            Tokens::load(Arc::clone(&store), Arc::clone(&clock), &settings.state_dir).await?;
        let boot = format!("{}-{}", std::process::id(), random_hex(4));
        Ok(Arc::new(Self {
            common: Common { store, clock, boot },
            plugins,
            migrations: RwLock::default(),
            tokens,
            settings,
            creating: tokio::sync::Mutex::default(),
        }))
    }

    /// Brings up every stored migration, with the given documents in place of the stored ones
    /// where both exist. A migration that cannot be brought up is said and left out.
    pub async fn bring_up(&self, documents: Vec<(String, String)>) -> anyhow::Result<()> {
        let mut texts = BTreeMap::new();
        for doc in self.common.store.list(Kind::Migration, Some(""), None, 10_000).await? {
            let body: Value = serde_json::from_slice(&doc.body)?;
            texts.insert(doc.id, body["yaml"].as_str().unwrap_or_default().to_owned());
        }
        for (name, text) in documents {
            let document = config::parse(&text)
                .map_err(|p| anyhow::anyhow!("{name}: {}", Problem::from(*p)))?;
            texts.insert(document.migration, text);
        }
        for (id, text) in texts {
            if let Err(problem) = self.create(&text).await {
                anyhow::bail!("migration {id}: {problem}");
            }
        }
        Ok(())
    }

    /// Takes a document: stores it, listens, begins to connect.
    pub(crate) async fn create(&self, yaml: &str) -> Result<Arc<Migration>, Box<Problem>> {
        let _one = self.creating.lock().await;
        let document = self.checked(yaml)?;
        let id = document.migration.clone();
        if self.migrations.read().contains_key(&id) {
            let detail = format!("{id} exists; change it with `exodus plan` and `exodus apply`");
            return Err(Box::new(Problem::new("EXO-API-409", detail)));
        }
        let plugin = self.plugin(&document.family);
        let plugin =
            plugin.ok_or_else(|| Box::new(Problem::new("EXO-API-422", "no such family")))?;
        let digest = document.digest();
        let brought = Migration::bring_up(&self.common, plugin, document, yaml.to_owned()).await;
        let migration = brought.map_err(|error| {
            let mut problem = Problem::new("EXO-API-422", format!("{error:#}"));
            if let Some(code) = code_in(&problem.detail) {
                problem.code = code;
            }
            Box::new(problem)
        })?;
        let body = json!({ "yaml": yaml, "digest": digest }).to_string().into_bytes();
        let put = Change::put(Kind::Migration, "", &id, body);
        if let Err(error) = self.common.store.commit(Batch::decision(vec![put])).await {
            migration.shut_down(Duration::ZERO).await;
            return Err(Box::new(Problem::new("EXO-API-503", error.to_string())));
        }
        self.migrations.write().insert(id, Arc::clone(&migration));
        Ok(migration)
    }

    fn checked(&self, yaml: &str) -> Result<Document, Box<Problem>> {
        let document = config::parse(yaml).map_err(|p| Box::new(Problem::from(*p)))?;
        let found = self.validate(yaml);
        match found.problems.into_iter().next() {
            Some(problem) => Err(Box::new(problem.into())),
            None => Ok(document),
        }
    }

    /// An offline verdict on a document, the family's options included.
    pub(crate) fn validate(&self, yaml: &str) -> api::Validation {
        validate(yaml, &self.plugins)
    }

    pub(crate) fn plugin(&self, family: &str) -> Option<Arc<dyn FamilyPlugin>> {
        self.plugins.iter().find(|p| p.name() == family).cloned()
    }

    pub(crate) fn migration(&self, id: &str) -> Option<Arc<Migration>> {
        self.migrations.read().get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Migration>> {
        self.migrations.read().values().cloned().collect()
    }

    /// Serves the API until `stop` resolves, then drains and ends everything.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(self: Arc<Self>, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind(self.settings.listen).await?;
        tracing::info!(listen = %listener.local_addr()?, "the API listens");
        let sampling = tokio::spawn(samples::run(Arc::clone(&self)));
        let quit = tokio_util::sync::CancellationToken::new();
        let app = http::router(Arc::clone(&self), quit.clone());
        let door = quit.clone();
        let serving = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            let end = async move { door.cancelled().await };
            axum::serve(listener, app).with_graceful_shutdown(end).await
        });
        stop.await;
        tracing::info!("stopping: listeners drain");
        let all = self.all();
        futures_util::future::join_all(all.iter().map(|m| m.shut_down(PATIENCE))).await;
        sampling.abort();
        quit.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(2), serving).await;
        Ok(())
    }
}

/// An offline verdict on a document, the family's options included.
#[must_use]
pub fn validate(yaml: &str, plugins: &[Arc<dyn FamilyPlugin>]) -> api::Validation {
    let names: Vec<_> = plugins.iter().map(|p| p.name()).collect();
    let mut found = config::validate(yaml, &names);
    let Ok(document) = config::parse(yaml) else { return found };
    let plugin = plugins.iter().find(|p| p.name() == document.family);
    for message in plugin.map_or_else(Vec::new, |p| p.check_options(&document.options)) {
        found.valid = false;
        found.problems.push(api::ConfigProblem {
            code: "EXO-CFG-004".to_owned(),
            message,
            path: Some("options".to_owned()),
            line: None,
            column: None,
            fix: None,
        });
    }
    found
}

fn code_in(text: &str) -> Option<String> {
    let at = text.find("EXO-")?;
    let code = text.get(at..at + 11)?;
    code[8..].parse::<u16>().is_ok().then(|| code.to_owned())
}
