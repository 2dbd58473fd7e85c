//! The doors of `exodus serve`, without any database: rights, versions, repeats, streams, restarts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const PLANTED: &str = "planted-secret-8471";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server whose endpoints answer nobody.
struct Serving {
    child: Child,
    directory: tempfile::TempDir,
    http: u16,
    agent: ureq::Agent,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &std::path::Path, http: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_exodus"))
        .arg("serve")
        .arg("--state-dir")
        .arg(directory.join("state"))
        .arg("--config")
        .arg(directory.join("m.yaml"))
        .args(["--http", &format!("127.0.0.1:{http}")])
        .env("PLANTED", PLANTED)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(directory.join("log")).unwrap())
        .spawn()
        .unwrap()
}

impl Serving {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (dead, listen, http) = (free_port(), free_port(), free_port());
        let document = format!(
            "migration: m\nfamily: redis\nenvironment: dev\n\
             source: {{address: '127.0.0.1:{dead}', user: w, password: '${{env:PLANTED}}'}}\n\
             target: {{address: 'localhost:{dead}'}}\n\
             interlay: [{{listen: '127.0.0.1:{listen}'}}]\n"
        );
        std::fs::write(directory.path().join("m.yaml"), document).unwrap();
        let child = spawn(directory.path(), http);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let serving = Self { child, directory, http, agent };
        serving.wait();
        serving
    }

    fn wait(&self) {
        let began = Instant::now();
        while self.agent.get(self.url("/readyz")).call().is_err() {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(began.elapsed() < PATIENCE, "it does not come up: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    fn admin(&self) -> String {
        let path: PathBuf = self.directory.path().join("state/admin.token");
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    fn text(&self, path: &str) -> (u16, String) {
        let bearer = format!("Bearer {}", self.admin());
        let mut answer =
            self.agent.get(self.url(path)).header("authorization", bearer).call().unwrap();
        let status = answer.status().as_u16();
        (status, answer.body_mut().read_to_string().unwrap())
    }

    fn get(&self, path: &str) -> Value {
        let (status, text) = self.text(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn post(
        &self,
        token: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (u16, Value) {
        let mut request =
            self.agent.post(self.url(path)).header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send_json(body).unwrap();
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn version(&self) -> String {
        format!("\"{}\"", self.get("/api/v1/migrations/m/status")["state_version"])
    }

    /// Asks on the present version; workers may move it while we look.
    fn verb(&self, verb: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/v1/migrations/m/verbs/{verb}");
        loop {
            let version = self.version();
            let answer = self.post(&self.admin(), &path, &[("if-match", &version)], body);
            if answer.0 != 412 {
                return answer;
            }
        }
    }

    fn issue(&self, role: &str) -> String {
        let new = json!({ "name": format!("a {role}"), "roles": [role] });
        let (status, answer) = self.post(&self.admin(), "/api/v1/tokens", &[], &new);
        assert_eq!(status, 200, "{answer}");
        answer["data"]["secret"].as_str().unwrap().to_owned()
    }
}

#[test]
fn every_role_may_use_exactly_its_verbs() {
    let serving = Serving::start();
    serving.verb("start", &json!({}));
    for role in api::Role::ALL {
        let token = serving.issue(role.as_str());
        for verb in api::Verb::ALL {
            let path = format!("/api/v1/migrations/m/verbs/{}", verb.as_str());
            let (status, answer) = serving.post(&token, &path, &[], &json!({ "dry_run": true }));
            // Anything but 403 means that the door was open.
            assert_eq!(status != 403, verb.permits(&[*role]), "{role:?} {verb:?}: {answer}");
        }
        let (status, _) = serving.post(&token, "/api/v1/tokens", &[], &json!({}));
        assert_eq!(status == 403, *role != api::Role::Admin, "{role:?}");
    }
    let (status, answer) = serving.post("exo_no_body", "/api/v1/validate", &[], &json!({}));
    assert_eq!((status, answer["code"].as_str()), (401, Some("EXO-API-401")));
}

#[test]
fn a_stale_version_is_refused_and_going_back_never_is() {
    let serving = Serving::start();
    let admin = serving.admin();
    let hold = "/api/v1/migrations/m/verbs/hold";
    assert_eq!(serving.verb("start", &json!({})).0, 200);
    let version = serving.version();
    let (status, answer) = serving.post(&admin, hold, &[], &json!({}));
    assert_eq!((status, answer["code"].as_str()), (428, Some("EXO-API-428")));
    let (status, _) = serving.post(&admin, hold, &[("if-match", &version)], &json!({}));
    assert_eq!(status, 200);
    let release = "/api/v1/migrations/m/verbs/release";
    let (status, answer) = serving.post(&admin, release, &[("if-match", &version)], &json!({}));
    assert_eq!((status, answer["code"].as_str()), (412, Some("EXO-API-412")), "{answer}");
    assert!(answer["state_version"].as_u64().is_some());
    for verb in ["panic", "rollback"] {
        let path = format!("/api/v1/migrations/m/verbs/{verb}");
        let (status, answer) = serving.post(&admin, &path, &[], &json!({}));
        assert_eq!(status, 200, "{verb}: {answer}");
        assert_eq!(answer["data"]["applied"], true);
    }
    let status = serving.get("/api/v1/migrations/m/status");
    assert_eq!(status["data"]["phase"]["step"], "rolled_back");
}

#[test]
fn dangerous_verbs_only_narrate_and_reasons_are_asked_for() {
    let serving = Serving::start();
    serving.verb("start", &json!({}));
    let before = serving.version();
    let (status, answer) = serving.verb("advance", &json!({}));
    assert_eq!((status, answer["data"]["applied"].as_bool()), (200, Some(false)));
    assert_eq!(serving.version(), before);
    let (status, answer) = serving.verb("commit", &json!({ "yes": true }));
    assert_eq!((status, answer["code"].as_str()), (422, Some("EXO-API-504")), "{answer}");
    let (status, answer) = serving.verb("commit", &json!({ "yes": true, "reason": "it is time" }));
    assert_eq!((status, answer["code"].as_str()), (409, Some("EXO-RUN-001")), "{answer}");
    assert!(!answer["fix"].as_str().unwrap().is_empty());
    let (status, answer) = serving.verb("queue_park", &json!({ "args": { "ids": ["k"] } }));
    assert_eq!((status, answer["code"].as_str()), (422, Some("EXO-API-504")), "{answer}");
    let cutover = json!({ "yes": true, "args": { "what": "cutover" } });
    let (status, answer) = serving.verb("rehearse", &cutover);
    assert_eq!((status, answer["code"].as_str()), (501, Some("EXO-API-501")), "{answer}");
    let (status, answer) = serving.verb("explode", &json!({}));
    assert_eq!((status, answer["code"].as_str()), (404, Some("EXO-API-404")));
    let (status, answer) = serving.verb("hold", &json!({ "colour": "red" }));
    assert_eq!((status, answer["code"].as_str()), (400, Some("EXO-API-400")), "{answer}");
}

#[test]
fn a_repeated_key_gives_the_first_answer_again() {
    let serving = Serving::start();
    serving.verb("start", &json!({}));
    let (admin, version) = (serving.admin(), serving.version());
    let headers = [("if-match", version.as_str()), ("idempotency-key", "k-1")];
    let path = "/api/v1/migrations/m/verbs/hold";
    let first = serving.post(&admin, path, &headers, &json!({ "reason": "lunch" }));
    let second = serving.post(&admin, path, &headers, &json!({ "reason": "lunch" }));
    assert_eq!((first.0, second.0), (200, 200), "{} {}", first.1, second.1);
    assert_eq!(first.1["data"], second.1["data"]);
    let audit = serving.get("/api/v1/audit?migration=m");
    let holds = audit["data"]["items"].as_array().unwrap().iter();
    assert_eq!(holds.filter(|e| e["action"] == "hold").count(), 1);
    assert_eq!(serving.get("/api/v1/audit/verify")["data"]["intact"], true);
}

/// Ids of the first events of a stream.
fn stream(serving: &Serving, last: Option<u64>, count: usize) -> Vec<u64> {
    let mut request = serving
        .agent
        .get(serving.url("/api/v1/events?migration=m"))
        .header("authorization", format!("Bearer {}", serving.admin()))
        .header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let body = request.call().unwrap().into_body().into_reader();
    let lines = BufReader::new(body).lines().map(Result::unwrap);
    let ids =
        lines.filter_map(|l| l.strip_prefix("id: ").or(l.strip_prefix("id:"))?.trim().parse().ok());
    ids.take(count).collect()
}

#[test]
fn a_stream_resumes_after_the_last_event_without_gap_or_repeat() {
    let serving = Serving::start();
    serving.verb("start", &json!({}));
    for _ in 0..3 {
        assert_eq!(serving.verb("hold", &json!({})).0, 200);
        assert_eq!(serving.verb("release", &json!({})).0, 200);
    }
    let all = serving.get("/api/v1/events?migration=m&from=start&limit=1000");
    let all: Vec<u64> = all["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].as_u64().unwrap())
        .collect();
    let count = all.len().min(8);
    assert!(count > 3);
    assert_eq!(stream(&serving, None, count), all[..count]);
    assert_eq!(stream(&serving, Some(all[1]), count - 2), all[2..count]);
}

#[test]
fn killed_it_answers_at_once_with_what_was_decided() {
    let mut serving = Serving::start();
    serving.verb("start", &json!({}));
    assert_eq!(serving.verb("advance", &json!({ "yes": true })).0, 200);
    assert_eq!(serving.verb("hold", &json!({ "reason": "wait for ann" })).0, 200);
    let second = spawn(serving.directory.path(), free_port()).wait().unwrap();
    assert_eq!(second.code(), Some(2), "a second process has to refuse");
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    serving.child = spawn(serving.directory.path(), serving.http);
    serving.wait();
    let status = serving.get("/api/v1/migrations/m/status");
    let data = &status["data"];
    assert_eq!(data["phase"]["step"], "tap");
    assert_eq!(data["phase"]["state"], "held");
    assert_eq!(data["live"], false);
    assert!(data["waiting_on"]["what"].as_str().unwrap().contains("wait for ann"));
    assert_eq!(data["writes"]["authority"], "source");
}

#[test]
fn a_planted_secret_shows_nowhere() {
    let serving = Serving::start();
    serving.verb("start", &json!({}));
    let resources =
        ["status", "config", "checks", "evidence", "reports/final", "runbook", "bundle"];
    for resource in resources {
        let bearer = format!("Bearer {}", serving.admin());
        let path = serving.url(&format!("/api/v1/migrations/m/{resource}"));
        let mut answer = serving.agent.get(path).header("authorization", bearer).call().unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{resource}");
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(PLANTED), "{resource} tells the secret");
    }
    for path in ["/metrics", "/api/v1/events", "/api/v1/audit", "/authority"] {
        assert!(!serving.text(path).1.contains(PLANTED), "{path}");
    }
    let log = std::fs::read_to_string(serving.directory.path().join("log")).unwrap();
    assert!(!log.contains(PLANTED) && !log.contains(&serving.admin()));
}

#[test]
fn a_browser_session_needs_its_header_to_change_anything() {
    let serving = Serving::start();
    let mut answer = serving
        .agent
        .post(serving.url("/api/v1/login"))
        .send_json(json!({ "token": serving.admin() }))
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.body_mut().read_to_string());
    let cookie = answer.headers().get("set-cookie").unwrap().to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let start = |csrf: bool| {
        let path = serving.url("/api/v1/migrations/m/verbs/start");
        let mut request =
            serving.agent.post(path).header("cookie", &cookie).header("if-match", "\"0\"");
        if csrf {
            request = request.header("x-exodus-csrf", "1");
        }
        request.send_json(json!({})).unwrap().status().as_u16()
    };
    assert_eq!((start(false), start(true)), (403, 200));
}

#[test]
fn mistakes_in_a_document_are_named_where_they_stand() {
    let serving = Serving::start();
    let yaml = "migration: x\nfamily: redis\nsource:\n  adress: 127.0.0.1:1\n";
    let (status, answer) =
        serving.post(&serving.admin(), "/api/v1/migrations", &[], &json!({ "yaml": yaml }));
    assert_eq!((status, answer["code"].as_str()), (422, Some("EXO-CFG-001")), "{answer}");
    assert_eq!(answer["at"], "4:3");
    assert!(answer["detail"].as_str().unwrap().contains("did you mean `address`?"));
    let (_, answer) =
        serving.post(&serving.admin(), "/api/v1/validate", &[], &json!({ "yaml": yaml }));
    assert_eq!(answer["data"]["problems"][0]["line"], 4);
}

#[test]
fn every_documented_route_exists() {
    let serving = Serving::start();
    let document = serving.get("/api/v1/openapi.json");
    for (path, operations) in document["paths"].as_object().unwrap() {
        if operations.get("get").is_none() || path.ends_with("/events") {
            continue;
        }
        let path = path.replace("{id}", "m").replace("{kind}", "final");
        let path = path.replace("{code}", "EXO-API-412");
        let (status, text) = serving.text(&path);
        assert_eq!(status, 200, "{path}: {text}");
    }
}
