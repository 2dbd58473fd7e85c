//! Exodus as a contender: one process with a migration of its own, driven through its HTTP API
//! exactly as an operator would.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use super::contender::Contender;
use super::process::{Running, find, free_port, server, version};

/// How long a migration may take until it is where a measurement begins.
const ARRIVE_MAX: Duration = Duration::from_secs(120);
/// How long the other side may take until it has everything.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// How often checks that are asked for are made again.
const RECHECK_EVERY: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);
const NAME: &str = "bench";

/// Where a run has to be before it is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Plain forwarding: nothing is captured.
    Forwarding,
    /// History is copied, live writes are followed.
    Following,
}

/// Pass-through, then one contender for each write policy, every one with servers of its own.
pub(crate) fn contenders(root: &Path, folder: &Path) -> Result<Vec<Contender>> {
    let binary = root.join("target/release/exodus");
    ensure!(binary.is_file(), "build first: cargo build --release --package exodus");
    let cases = [
        ("exodus pass-through", "both_required", Stage::Forwarding),
        ("exodus both_required", "both_required", Stage::Following),
        ("exodus old_authoritative", "old_authoritative", Stage::Following),
    ];
    cases
        .iter()
        .enumerate()
        .map(|(at, (name, policy, stage))| {
            let folder = folder.join(format!("exodus-{at}"));
            std::fs::create_dir(&folder).context("a folder for it")?;
            contender(&binary, &folder, name, policy, *stage)
        })
        .collect()
}

fn contender(
    binary: &Path,
    folder: &Path,
    name: &str,
    policy: &str,
    stage: Stage,
) -> Result<Contender> {
    let redis = find("redis-server", "EXODUS_REDIS_SERVER")?;
    let valkey = find("valkey-server", "EXODUS_VALKEY_SERVER")?;
    let (source, source_port) = server(&redis, folder, "source")?;
    let (target, target_port) = server(&valkey, folder, "target")?;
    let node = Node::start(binary, folder, source_port, target_port, policy)?;
    if stage == Stage::Following {
        node.advance_until(following)?;
    }
    let about = match stage {
        Stage::Forwarding => "no run started: nothing is captured".to_owned(),
        Stage::Following => {
            format!("policy {policy}, feed on, target {}", version(&valkey, "--version")?)
        }
    };
    let (port, api) = (node.interlay, node.api.clone());
    let settle = move || settled(&api);
    Ok(Contender {
        name: name.to_owned(),
        about: format!("{}, {about}", version(binary, "--version")?),
        port,
        settle: (stage == Stage::Following).then(|| Box::new(settle) as super::contender::Settle),
        _processes: vec![node.process, source, target],
    })
}

/// Copies a filled source to an empty target with a new process: keys per second, from the verb
/// that starts the copy until status says it is done.
pub(crate) fn backfill(
    root: &Path,
    folder: &Path,
    round: usize,
    source: u16,
    target: u16,
    keys: u64,
) -> Result<f64> {
    let folder = folder.join(format!("backfill-{round}"));
    std::fs::create_dir(&folder).context("a folder for the round")?;
    let binary = root.join("target/release/exodus");
    let node = Node::start(&binary, &folder, source, target, "both_required")?;
    let before = node.advance_until(|status| step(status) == "rehearsal")?;
    ensure!(step(&before) == "rehearsal", "the copy began before it was asked for");
    let start = Instant::now();
    node.api.verb("advance", &before)?;
    node.api.wait(ARRIVE_MAX, "the copy", |status| text(status, "/data/state") == "done")?;
    Ok(keys as f64 / start.elapsed().as_secs_f64())
}

struct Node {
    process: Running,
    interlay: u16,
    api: Api,
}

impl Node {
    fn start(binary: &Path, folder: &Path, source: u16, target: u16, policy: &str) -> Result<Self> {
        let (interlay, http) = (free_port()?, free_port()?);
        let state = folder.join("state");
        let document = format!(
            "migration: {NAME}\nfamily: redis\nenvironment: dev\n\
             source: {{ address: \"127.0.0.1:{source}\" }}\n\
             target: {{ address: \"127.0.0.1:{target}\" }}\n\
             interlay: [{{ listen: \"127.0.0.1:{interlay}\" }}]\n\
             strategy: {{ kind: big_bang }}\nwrite: {{ before: {policy} }}\n\
             backfill: {{ conflict: overwrite }}\n"
        );
        let arguments = [
            "serve".to_owned(),
            "--state-dir".to_owned(),
            state.display().to_string(),
            "--http".to_owned(),
            format!("127.0.0.1:{http}"),
        ];
        let process = Running::start(binary, arguments, &folder.join("exodus.log"))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(ARRIVE_MAX))
            .build();
        let mut api = Api {
            agent: agent.into(),
            base: format!("http://127.0.0.1:{http}"),
            token: String::new(),
        };
        let process = process.until(|| api.ready())?;
        let token =
            std::fs::read_to_string(state.join("admin.token")).context("the admin's token")?;
        token.trim().clone_into(&mut api.token);
        api.create(&document)?;
        Ok(Self { process: process.ready(interlay)?, interlay, api })
    }

    /// Goes forward until the status is as wanted. Returns that status.
    fn advance_until(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let api = &self.api;
        let deadline = Instant::now() + ARRIVE_MAX;
        let mut last = Value::Null;
        let mut asked = Instant::now();
        while Instant::now() < deadline {
            last = api.status()?;
            if wanted(&last) {
                return Ok(last);
            }
            // Checks made before the target was connected are made again, as the status asks.
            let command = text(&last, "/waiting_on/command");
            if command.starts_with("exodus preflight run") && asked.elapsed() > RECHECK_EVERY {
                asked = Instant::now();
                api.verb("preflight_run", &last)?;
            }
            let verb = if last.pointer("/run").is_none() { "start" } else { "advance" };
            if allowed(&last, verb) {
                api.verb(verb, &last)?;
            }
            std::thread::sleep(POLL);
        }
        bail!(
            "it stays at {}: {}",
            step(&last),
            last.pointer("/waiting_on").unwrap_or(&Value::Null)
        )
    }
}

/// Seeded, and waiting for whatever comes next.
fn following(status: &Value) -> bool {
    text(status, "/data/state") == "done" && depth(status) == 0
}

fn depth(status: &Value) -> u64 {
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(u64::MAX);
    number("/queue/depth").saturating_add(number("/queue/in_flight"))
}

fn step(status: &Value) -> String {
    text(status, "/phase/step")
}

fn text(status: &Value, path: &str) -> String {
    status.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn allowed(status: &Value, verb: &str) -> bool {
    let actions = status.pointer("/allowed_actions").and_then(Value::as_array);
    actions.into_iter().flatten().any(|a| a["verb"] == verb && a["allowed"] == true)
}

/// Waits until nothing is owed to the other side; how long that took.
fn settled(api: &Api) -> Result<Duration> {
    let start = Instant::now();
    api.wait(SETTLE_MAX, "the drain", |status| depth(status) == 0)?;
    Ok(start.elapsed())
}

#[derive(Clone)]
struct Api {
    agent: Agent,
    base: String,
    token: String,
}

impl Api {
    fn ready(&self) -> bool {
        let answer = self.agent.get(format!("{}/readyz", self.base)).call();
        answer.is_ok_and(|a| a.status().is_success())
    }

    fn create(&self, document: &str) -> Result<()> {
        let body = json!({ "yaml": document, "name": "bench.yaml" });
        let (status, answer) = self.post("/api/v1/migrations", "", &body)?;
        ensure!(status < 300, "the configuration is refused: {answer}");
        Ok(())
    }

    fn status(&self) -> Result<Value> {
        let mut answer = self
            .agent
            .get(format!("{}/api/v1/migrations/{NAME}/status", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .context("status")?;
        let mut envelope: Value = answer.body_mut().read_json().context("status")?;
        ensure!(answer.status().is_success(), "status: {envelope}");
        Ok(envelope["data"].take())
    }

    /// Applies a verb to the state that `status` showed.
    fn verb(&self, verb: &str, status: &Value) -> Result<()> {
        let path = format!("/api/v1/migrations/{NAME}/verbs/{verb}");
        let body = json!({ "yes": true, "reason": "benchmark" });
        let version = format!("\"{}\"", status["state_version"]);
        let (code, answer) = self.post(&path, &version, &body)?;
        // 409, 412: the run moved meanwhile; the caller looks again.
        ensure!(code < 300 || matches!(code, 409 | 412), "{verb} was refused: {answer}");
        Ok(())
    }

    fn post(&self, path: &str, version: &str, body: &Value) -> Result<(u16, Value)> {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        if !version.is_empty() {
            request = request.header("If-Match", version);
        }
        let mut answer = request.send_json(body).with_context(|| path.to_owned())?;
        let status = answer.status().as_u16();
        Ok((status, answer.body_mut().read_json().unwrap_or_default()))
    }

    fn wait(&self, limit: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let status = self.status()?;
            if wanted(&status) {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        bail!("{what} did not end within {limit:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_a_queue_never_counts_as_drained() {
        assert!(depth(&json!({})) > 0);
        assert_eq!(depth(&json!({ "queue": { "depth": 0, "in_flight": 0 } })), 0);
    }

    #[test]
    fn only_what_the_status_allows_is_tried() {
        let status = json!({ "allowed_actions": [{ "verb": "advance", "allowed": false }] });
        assert!(!allowed(&status, "advance"));
        assert!(!allowed(&status, "start"));
    }
}
