//! The HTTP door against a desk that only remembers what it was told.

#![allow(clippy::unwrap_used, reason = "a test may fail by unwrapping")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::*;
use async_trait::async_trait;
use control::desk::{Desk, Head, Listing, MigrationDesk, Order};
use control::http::{App, serve};
use control::people::{Caller, People};
use serde_json::{Value, json};
use store::{Batch, Change, MemoryStore, NewEvent, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Note {
    version: AtomicU64,
    acts: AtomicU64,
}

struct Board(Arc<Note>);

fn unknown<T>() -> Result<T, Problem> {
    Err(Problem::new("EXO-API-501", "not here"))
}

#[async_trait]
impl Desk for Board {
    fn ready(&self) -> Ready {
        Ready { ready: true, missing: Vec::new() }
    }
    fn authority(&self) -> Vec<AuthorityLine> {
        Vec::new()
    }
    fn metrics(&self) -> String {
        "exodus_up 1\n".to_owned()
    }
    fn validate(&self, _: &ConfigDocument) -> Validation {
        Validation { valid: true, migration: None, digest: None, problems: Vec::new() }
    }
    async fn create(&self, _: ConfigDocument, _: &Caller) -> Result<MigrationSummary, Problem> {
        unknown()
    }
    fn fleet(&self) -> Vec<MigrationSummary> {
        Vec::new()
    }
    fn find(&self, id: &str) -> Option<Arc<dyn MigrationDesk>> {
        (id == "m").then(|| Arc::clone(&self.0) as Arc<dyn MigrationDesk>)
    }
    fn endpoints(&self) -> Vec<Endpoint> {
        Vec::new()
    }
    fn interlays(&self) -> Vec<Interlay> {
        Vec::new()
    }
}

#[async_trait]
impl MigrationDesk for Note {
    fn head(&self) -> Head {
        Head { state_version: self.version.load(Ordering::SeqCst), ..Head::default() }
    }
    async fn act(&self, order: Order) -> Result<VerbOutcome, Problem> {
        let now = self.version.load(Ordering::SeqCst);
        if order.expected.is_some_and(|e| e != now) {
            return Err(Problem::new("EXO-API-412", "stale").version(now));
        }
        let applied = !order.narrate_only("m");
        if applied {
            self.version.fetch_add(1, Ordering::SeqCst);
            self.acts.fetch_add(1, Ordering::SeqCst);
        }
        Ok(VerbOutcome {
            verb: order.verb.as_str().to_owned(),
            applied,
            effects: Vec::new(),
            undo: None,
            message: format!("by {}", order.caller.name),
            result: None,
        })
    }
    async fn queue(&self) -> Result<Queue, Problem> {
        unknown()
    }
    async fn status(&self) -> Result<Status, Problem> {
        unknown()
    }
    async fn detail(&self) -> Result<MigrationDetail, Problem> {
        unknown()
    }
    async fn config(&self) -> Result<ConfigView, Problem> {
        Ok(ConfigView { yaml: "a: 1".to_owned(), digest: "d".to_owned() })
    }
    async fn plan(&self, _: &ConfigDocument) -> Result<ConfigPlan, Problem> {
        unknown()
    }
    async fn runs(&self) -> Result<Vec<Run>, Problem> {
        Ok(Vec::new())
    }
    async fn checks(&self) -> Result<Vec<Check>, Problem> {
        unknown()
    }
    async fn gates(&self) -> Result<Vec<Gate>, Problem> {
        unknown()
    }
    async fn criteria(&self) -> Result<Vec<Criterion>, Problem> {
        unknown()
    }
    async fn evidence(&self) -> Result<Vec<Evidence>, Problem> {
        unknown()
    }
    async fn datasets(&self) -> Result<Vec<DatasetProgress>, Problem> {
        unknown()
    }
    async fn divergences(&self, _: Listing) -> Result<Page<Divergence>, Problem> {
        unknown()
    }
    async fn failures(&self, _: Listing) -> Result<Page<Failure>, Problem> {
        unknown()
    }
    async fn queue_entries(&self, listing: Listing) -> Result<Page<QueueEntry>, Problem> {
        let first = listing.cursor.is_none();
        let entry = QueueEntry {
            id: if first { "1" } else { "2" }.to_owned(),
            key: "k\"<script>".to_owned(),
            state: "parked".to_owned(),
            age_ms: 1,
            attempts: 1,
            last_error: None,
        };
        Ok(Page { items: vec![entry], next: first.then(|| "1".to_owned()) })
    }
    async fn verify(&self) -> Result<VerifyState, Problem> {
        unknown()
    }
    async fn traffic(&self) -> Result<Traffic, Problem> {
        unknown()
    }
    async fn tenants(&self) -> Result<Vec<Tenant>, Problem> {
        unknown()
    }
    async fn compare(&self) -> Result<CompareReport, Problem> {
        unknown()
    }
    async fn analysis(&self) -> Result<Analysis, Problem> {
        unknown()
    }
    async fn samples(&self, _: u64, _: u64) -> Result<Samples, Problem> {
        unknown()
    }
    async fn runbook(&self) -> Result<String, Problem> {
        unknown()
    }
    async fn report(&self, _: &str) -> Result<Report, Problem> {
        unknown()
    }
    async fn bundle(&self) -> Result<Vec<u8>, Problem> {
        unknown()
    }
}

struct Door {
    address: SocketAddr,
    store: Arc<dyn Store>,
    people: People,
    note: Arc<Note>,
    admin: String,
    stop: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Said {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Value,
}

impl Door {
    fn open() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let people = People::new(Arc::clone(&store));
        let note = Arc::new(Note::default());
        let stop = CancellationToken::new();
        let app = App::new(Arc::new(Board(Arc::clone(&note))), Arc::clone(&store), stop.clone());
        let (address, admin) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, app, stop.clone()));
            (address, people.first_admin().await.unwrap().unwrap())
        });
        Self { address, store, people, note, admin, stop, _runtime: runtime }
    }

    fn token(&self, role: Role, migrations: &[&str]) -> String {
        let wanted = NewToken {
            name: role.as_str().to_owned(),
            roles: vec![role],
            migrations: migrations.iter().map(|m| (*m).to_owned()).collect(),
            expires_in_s: None,
        };
        self._runtime.block_on(self.people.issue(wanted, "test")).unwrap().secret
    }

    fn tell(&self, text: &str) {
        let payload = json!({ "severity": "info", "message": text, "fields": {} }).to_string();
        let event = NewEvent { scope: "m".to_owned(), at_ms: 1, kind: "told".to_owned(), payload };
        let batch = Batch::decision(vec![Change::Event(event)]);
        self._runtime.block_on(self.store.commit(batch)).unwrap();
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        Said {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    fn act(&self, token: &str, verb: &str, more: &[(&str, &str)], body: &str) -> Said {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        self.send("POST", &format!("/api/v1/migrations/m/verbs/{verb}"), &headers, body)
    }

    fn get(&self, token: &str, path: &str) -> Said {
        self.send("GET", path, &[("authorization", &format!("Bearer {token}"))], "")
    }
}

#[track_caller]
fn check(said: &Said, status: u16, code: &str) {
    assert_eq!((said.status, said.body["code"].as_str()), (status, Some(code)), "{}", said.body);
    assert_eq!(said.headers["content-type"], "application/problem+json");
    assert!(!said.body["fix"].as_str().unwrap().is_empty());
}

#[test]
fn nobody_gets_in_without_a_token() {
    let door = Door::open();
    check(&door.send("GET", "/api/v1/migrations", &[], ""), 401, "EXO-API-401");
    check(&door.get("exo_00_00", "/api/v1/migrations"), 401, "EXO-API-401");
    assert_eq!(door.send("GET", "/healthz", &[], "").status, 200);
    assert_eq!(door.send("GET", "/readyz", &[], "").status, 200);
    for _ in 0..9 {
        check(&door.get("wrong", "/api/v1/whoami"), 401, "EXO-API-401");
    }
    check(&door.get("wrong", "/api/v1/whoami"), 429, "EXO-API-429");
    // An address that guesses is shut out whole: its good token waits as well.
    check(&door.get(&door.admin, "/api/v1/whoami"), 429, "EXO-API-429");
}

#[test]
fn roles_and_scopes_hold_for_every_verb() {
    let door = Door::open();
    for role in Role::ALL {
        let token = door.token(*role, &["m"]);
        for verb in Verb::ALL {
            let said = door.act(&token, verb.as_str(), &[("if-match", "999")], r#"{"reason":"r"}"#);
            if verb.permits(&[*role]) {
                assert_ne!(said.status, 403, "{role:?} {verb:?}");
            } else {
                check(&said, 403, "EXO-API-403");
            }
        }
    }
    let elsewhere = door.token(Role::Operator, &["other"]);
    check(&door.act(&elsewhere, "rollback", &[], ""), 404, "EXO-API-404");
    check(&door.get(&elsewhere, "/api/v1/events?migration=m"), 404, "EXO-API-404");
    check(&door.get(&elsewhere, "/api/v1/tokens"), 403, "EXO-API-403");
}

#[test]
fn a_verb_needs_version_reason_and_confirmation_but_rollback_needs_none() {
    let door = Door::open();
    check(&door.act(&door.admin, "hold", &[], ""), 428, "EXO-API-428");
    let stale = door.act(&door.admin, "hold", &[("if-match", "\"7\"")], "");
    check(&stale, 412, "EXO-API-412");
    assert_eq!(stale.body["state_version"], 0);
    assert_eq!(door.act(&door.admin, "hold", &[("if-match", "\"0\"")], "").status, 200);
    let narrated = door.act(&door.admin, "commit", &[], "");
    assert_eq!(narrated.body["data"]["applied"], false);
    let commit = door.act(&door.admin, "commit", &[("if-match", "1")], r#"{"yes":true}"#);
    check(&commit, 422, "EXO-API-504");
    let back = door.act(&door.admin, "rollback", &[], "");
    assert_eq!(back.body["data"]["applied"], true, "{}", back.body);
    check(&door.act(&door.admin, "hold", &[("if-match", "x")], ""), 400, "EXO-API-400");
    let malformed = door.act(&door.admin, "hold", &[("if-match", "2")], "{\n \"resaon\": 1}");
    check(&malformed, 400, "EXO-API-400");
    assert_eq!(malformed.body["at"], "body:2:9");
    check(&door.act(&door.admin, "stop", &[], ""), 404, "EXO-API-404");
}

#[test]
fn the_same_key_acts_once() {
    let door = Door::open();
    let first = door.act(&door.admin, "rollback", &[("idempotency-key", "k1")], "");
    let second = door.act(&door.admin, "rollback", &[("idempotency-key", "k1")], "");
    assert_eq!(first.body, second.body);
    assert_eq!(door.note.acts.load(Ordering::SeqCst), 1);
    door.act(&door.admin, "rollback", &[("idempotency-key", "k2")], "");
    assert_eq!(door.note.acts.load(Ordering::SeqCst), 2);
}

#[test]
fn a_session_cannot_be_ridden_from_another_page() {
    let door = Door::open();
    let login =
        door.send("POST", "/api/v1/login", &[], &json!({ "token": door.admin }).to_string());
    let set = login.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    assert_eq!(door.send("GET", "/api/v1/whoami", &[("cookie", &cookie)], "").status, 200);
    let path = "/api/v1/migrations/m/verbs/rollback";
    check(&door.send("POST", path, &[("cookie", &cookie)], ""), 403, "EXO-API-403");
    let ours = [("cookie", cookie.as_str()), ("x-exodus-intent", "1")];
    assert_eq!(door.send("POST", path, &ours, "").status, 200);
    door.send("POST", "/api/v1/logout", &ours, "");
    check(&door.send("GET", "/api/v1/whoami", &ours, ""), 401, "EXO-API-401");
}

#[test]
fn a_stream_goes_on_after_the_last_event_seen() {
    let door = Door::open();
    let watcher = door.token(Role::Observer, &["m"]);
    for text in ["one", "two", "three"] {
        door.tell(text);
    }
    let all = door.get(&watcher, "/api/v1/events?migration=m");
    let events = all.body["data"]["items"].as_array().unwrap();
    assert_eq!(events.len(), 3, "{}", all.body);
    let response = ureq::get(format!("http://{}/api/v1/events?migration=m", door.address))
        .header("authorization", format!("Bearer {watcher}"))
        .header("accept", "text/event-stream")
        .header("last-event-id", events[0]["id"].to_string())
        .call()
        .unwrap();
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();
    let mut next = || loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            break serde_json::from_str::<Event>(data).unwrap().message;
        }
    };
    assert_eq!(next(), "two");
    assert_eq!(next(), "three");
    door.tell("four");
    assert_eq!(next(), "four");
}

#[test]
fn exports_walk_every_page_and_errors_have_a_form() {
    let door = Door::open();
    let export = door.get(&door.admin, "/api/v1/migrations/m/queue/export");
    assert_eq!(export.body.as_str().unwrap().lines().count(), 2);
    check(&door.get(&door.admin, "/api/v1/nothing"), 404, "EXO-API-404");
    check(&door.get(&door.admin, "/api/v1/migrations/x/status"), 404, "EXO-API-404");
    assert_eq!(door.send("DELETE", "/healthz", &[], "").status, 405);
    let framed = door.get(&door.admin, "/api/v1/whoami");
    assert_eq!(framed.headers["x-frame-options"], "DENY");
    let large = "x".repeat(control::http::BODY_MAX + 1);
    let refused = door.act(&door.admin, "hold", &[("if-match", "0")], &large);
    check(&refused, 413, "EXO-API-413");
    check(&door.get(&door.admin, "/api/v1/events?limit=many"), 400, "EXO-API-400");
}

#[test]
fn the_document_describes_every_route_of_the_list() {
    let document = serde_json::to_value(control::http::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let listed = include_str!("../../api/src/lib.rs");
    let mut routes = 0;
    for line in listed.lines().filter_map(|l| l.strip_prefix("//! | ")) {
        let cells: Vec<_> = line.split(" | ").collect();
        let (method, path) = (cells[0].to_lowercase(), cells[1].trim_matches('`'));
        if !path.starts_with('/') || path == "/api/v1/openapi.json" {
            continue;
        }
        routes += 1;
        assert!(document["paths"][path][&method].is_object(), "{method} {path} is not described");
    }
    assert!(routes > 40, "{routes}");
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
    assert_eq!(described, routes, "the list in crates/api and the document differ");
}
