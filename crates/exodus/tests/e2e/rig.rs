//! Two servers of one's own, `exodus serve`, and the command line, as a new user has them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::MutexGuard;

use api::{Envelope, Status};
use chaos::conn::Address;
use chaos::node::{Node, NodeOptions};
use chaos::process::free_port;
use chaos::servers::{Flavor, Server, ServerOptions};
use chaos::wait;
use tempfile::TempDir;

use crate::journey::{PATIENCE, alone};

pub(crate) const EXODUS: &str = env!("CARGO_BIN_EXE_exodus");

/// Everything a new user has. Accounts are the servers' default ones.
pub(crate) struct Rig {
    pub(crate) source: Server,
    pub(crate) target: Server,
    pub(crate) node: Node,
    interlay: u16,
    http: String,
    dir: TempDir,
    state: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Rig {
    /// Starts servers that keep what they acknowledge, and the server without any migration.
    pub(crate) fn start() -> Self {
        Self::start_with(|dir, serve| {
            (EXODUS.into(), [&["serve".into(), "--state-dir".into(), dir.into()], serve].concat())
        })
    }

    /// The same with the state on a disk of its own, of so many megabytes. The disk is seen by
    /// the server alone; see [`Rig::disk`].
    pub(crate) fn start_on_disk(megabytes: u32) -> Self {
        let mut rig = Self::start_with(|dir, serve| {
            let script = format!(
                "mkdir -p '{dir}' && mount -t tmpfs -o size={megabytes}m none '{dir}' && \
                 exec '{EXODUS}' serve --state-dir '{dir}' \"$@\"",
                dir = dir.display()
            );
            let words: [OsString; 6] =
                ["--map-root-user", "--mount", "sh", "-c", &script, "sh"].map(Into::into);
            ("unshare".into(), [words.as_slice(), serve].concat())
        });
        let pid = rig.node.pid().unwrap();
        rig.state = PathBuf::from(format!("/proc/{pid}/root{}", rig.state.display()));
        rig
    }

    fn start_with(command: impl FnOnce(&Path, &[OsString]) -> (PathBuf, Vec<OsString>)) -> Self {
        let alone = alone();
        let dir = tempfile::Builder::new().prefix("exodus-rig-").tempdir().unwrap();
        let [source, target] = [Flavor::Redis, Flavor::Valkey]
            .map(|flavor| Server::start(&ServerOptions::new(flavor).durable()).unwrap());
        let http = format!("127.0.0.1:{}", free_port().unwrap());
        let state = dir.path().join("state");
        let (binary, args) = command(&state, &["--http".into(), http.clone().into()]);
        let options = NodeOptions {
            binary,
            args,
            env: Vec::new(),
            http: http.clone(),
            ready_path: "/readyz".to_owned(),
            log: dir.path().join("node.log"),
        };
        let node = Node::start(options, PATIENCE).unwrap();
        let interlay = free_port().unwrap();
        Self { source, target, node, interlay, http, dir, state, _alone: alone }
    }

    /// The directory of the state.
    pub(crate) fn disk(&self) -> &Path {
        &self.state
    }

    /// Where the configuration is written.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("move.yaml")
    }

    /// The interlay, as an application knows it.
    pub(crate) fn application(&self) -> Address {
        Address::local(self.interlay)
    }

    /// Types a command, without the word `exodus`.
    pub(crate) fn type_in(&self, words: &[&str]) -> Output {
        Command::new(EXODUS)
            .args(words)
            .env("EXODUS_SERVER", format!("http://{}", self.http))
            .env("EXODUS_STATE_DIR", &self.state)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Types a command that has to do what it says.
    pub(crate) fn do_it(&self, words: &[&str]) -> String {
        let output = self.type_in(words);
        let said = said(&output);
        let log = self.node.log_tail(15);
        assert!(output.status.success(), "exodus {}: {said}\n{log}", words.join(" "));
        said
    }

    /// `init` between these two addresses, then `migration create`; clients may connect.
    pub(crate) fn create(&self, source: &str, target: &str) -> String {
        self.init(source, target);
        self.run_it()
    }

    /// `init` between these two addresses.
    pub(crate) fn init(&self, source: &str, target: &str) {
        let (file, listen) = (self.config(), self.application().host_port());
        let file = file.to_str().unwrap();
        self.do_it(&[
            "init",
            file,
            "--environment",
            "dev",
            "--source",
            source,
            "--target",
            target,
            "--listen",
            &listen,
            "--no-test",
        ]);
        self.do_it(&["validate", file]);
    }

    /// `migration create` of the document as it stands; clients may connect.
    pub(crate) fn run_it(&self) -> String {
        let (file, listen) = (self.config(), self.application().host_port());
        let said = self.do_it(&["migration", "create", file.to_str().unwrap()]);
        let accepts = || std::net::TcpStream::connect(&listen).is_ok();
        assert!(wait::until(PATIENCE, accepts), "nothing listens: {}", self.node.log_tail(15));
        said
    }

    /// `status -o json`.
    pub(crate) fn status(&self) -> Status {
        let output = self.type_in(&["status", "-o", "json"]);
        serde_json::from_slice::<Envelope<Status>>(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", said(&output), self.node.log_tail(15)))
            .data
    }

    /// Where the API has something of the migration, and what lets one in.
    fn door(&self, path: &str) -> (ureq::Agent, String, String) {
        let token = std::fs::read_to_string(self.state.join("admin.token")).unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let url = format!("http://{}/api/v1/migrations/my-migration/{path}", self.http);
        (config.build().into(), url, format!("Bearer {}", token.trim()))
    }

    /// Asks the API for a verb as it was decided on this version, and returns what it answers.
    pub(crate) fn ask(&self, verb: &str, version: u64) -> serde_json::Value {
        let (agent, url, token) = self.door(&format!("verbs/{verb}"));
        let mut response = agent
            .post(url)
            .header("authorization", token)
            .header("if-match", format!("\"{version}\""))
            .send_json(serde_json::json!({ "yes": true }))
            .unwrap();
        response.body_mut().read_json().unwrap()
    }

    /// The evidence of this kind that counts: when it was made.
    pub(crate) fn evidence(&self, kind: &str) -> Option<String> {
        let (agent, url, token) = self.door("evidence");
        let mut response = agent.get(url).header("authorization", token).call().unwrap();
        let all: Envelope<Vec<api::Evidence>> = response.body_mut().read_json().unwrap();
        let mut counts = all.data.into_iter().filter(|e| e.kind == kind && e.stale.is_none());
        counts.next().map(|e| e.at)
    }

    /// Adds lines to the document.
    pub(crate) fn configure(&self, lines: &str) {
        let document = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), format!("{document}{lines}\n")).unwrap();
    }

    /// Waits until the status satisfies this.
    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        let held = wait::until(PATIENCE, || holds(&self.status()));
        assert!(held, "{what}: {:#?}\n{}", self.status(), self.node.log_tail(15));
    }

    /// Types whatever is printed as the next command, until the run is at this step.
    pub(crate) fn follow(&self, goal: &str) {
        let mut typed = Vec::new();
        let arrived = wait::until(PATIENCE, || {
            let status = self.status();
            if status.phase.step == goal {
                return true;
            }
            let Some(next) = status.next_steps.first().map(|n| n.command.clone()) else {
                return false;
            };
            let words: Vec<&str> = next.split_whitespace().skip(1).collect();
            // Told to look: that is what this loop does.
            if words.first().is_none_or(|w| matches!(*w, "status" | "wait")) {
                return false;
            }
            let output = self.type_in(&words);
            typed.push(format!("{next}: {}", said(&output).lines().next().unwrap_or_default()));
            false
        });
        let status = self.status();
        assert!(
            arrived,
            "not at {goal} but {} ({:?})\n{}\n{}",
            status.phase.step,
            status.waiting_on,
            typed.join("\n"),
            self.node.log_tail(15)
        );
    }
}

/// Everything a command printed.
pub(crate) fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}
