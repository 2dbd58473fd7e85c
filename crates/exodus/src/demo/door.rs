//! The HTTP API, as any operator's tool would use it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::{Envelope, Event, MigrationSummary, Page, Problem, Status, VerbOutcome, VerbRequest};
use serde::de::DeserializeOwned;
use ureq::Agent;

use super::config::NAME;

/// One server and the right to talk to it.
#[derive(Clone)]
pub struct Door {
    agent: Agent,
    base: String,
    token: String,
}

/// What the server says to a verb.
pub enum Answer {
    /// The decision is stored.
    Done(Box<VerbOutcome>),
    /// Not now, and why.
    Refused(Box<Problem>),
}

impl Door {
    /// A door to the API at `host:port`. Makes no connection yet.
    #[must_use]
    pub fn new(host_port: &str, token: String) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        Self { agent, base: format!("http://{host_port}"), token }
    }

    /// Where a browser goes.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token, for the operator's own shell.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Creates the migration from its document.
    pub fn create(&self, document: &str) -> Result<MigrationSummary> {
        let body = serde_json::json!({ "yaml": document, "name": "demo.yaml" });
        match self.post("/api/v1/migrations", &body, None)? {
            Ok(envelope) => Ok(envelope),
            Err(problem) => bail!("the server refuses the config: {problem}; fix: {}", problem.fix),
        }
    }

    /// The status, which never takes long.
    pub fn status(&self) -> Result<Status> {
        self.get(&format!("/api/v1/migrations/{NAME}/status"))
    }

    /// The last events, newest last.
    pub fn events_after(&self, after: u64) -> Result<Vec<Event>> {
        let path = format!("/api/v1/events?migration={NAME}&after={after}&limit=1000");
        let page: Page<Event> = self.get(&path)?;
        Ok(page.items)
    }

    /// Any other resource of the migration.
    pub fn resource<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.get(&format!("/api/v1/migrations/{NAME}/{name}"))
    }

    /// Asks for a verb on the state the server has now.
    pub fn verb(&self, verb: &str, request: &VerbRequest) -> Result<Answer> {
        let path = format!("/api/v1/migrations/{NAME}/verbs/{verb}");
        let at_once = api::Verb::parse(verb).is_some_and(|v| !v.info().if_match);
        // Workers move the version while we look: a stale one is looked up again.
        for _ in 0..20 {
            let version = if at_once { None } else { Some(self.status()?.state_version) };
            match self.post(&path, &serde_json::to_value(request)?, version)? {
                Ok(outcome) => return Ok(Answer::Done(Box::new(outcome))),
                Err(problem) if problem.status == 412 => {}
                Err(problem) => return Ok(Answer::Refused(Box::new(problem))),
            }
        }
        bail!("{verb}: the state moved with every look");
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .call();
        let mut response = response.with_context(|| format!("GET {path}"))?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("GET {path}: {} {text}", response.status());
        }
        let envelope: Envelope<T> = serde_json::from_str(&text)
            .with_context(|| format!("GET {path}: unexpected answer"))?;
        Ok(envelope.data)
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
        version: Option<u64>,
    ) -> Result<Result<T, Problem>> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        let mut response = request.send_json(body).with_context(|| format!("POST {path}"))?;
        let text = response.body_mut().read_to_string()?;
        if response.status().is_success() {
            let envelope: Envelope<T> = serde_json::from_str(&text)
                .with_context(|| format!("POST {path}: unexpected answer"))?;
            return Ok(Ok(envelope.data));
        }
        let problem: Problem = serde_json::from_str(&text)
            .with_context(|| format!("POST {path}: {} {text}", response.status()))?;
        Ok(Err(problem))
    }
}
