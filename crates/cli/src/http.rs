//! The door to the server: requests, problem documents, event streams. Blocking, one thread.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use crate::error::Failure;
use crate::exit::Exit;
use crate::problem;
use crate::sse::{Parser, Step};

/// Where the server listens unless told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

const CONNECT: Duration = Duration::from_secs(5);
/// Long enough for a cutover or a preflight that the server finishes before it answers.
const ANSWER: Duration = Duration::from_secs(180);
/// A stream that is silent this long is dead: the server sends a heartbeat far more often.
const SILENCE: Duration = Duration::from_secs(45);
const BODY_MAX: u64 = 64 << 20;
const LINE_MAX: u64 = 1 << 20;

/// One server and the right to talk to it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
    key: String,
}

/// What a mutating request carries besides its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    /// The state this decision was made on; the server refuses when it moved.
    pub(crate) if_match: Option<u64>,
}

impl Client {
    /// `key` makes repeated requests of this command recognisable to the server.
    pub(crate) fn new(base: &str, token: Option<String>, key: String) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        if base.starts_with("https://") {
            return Err(Failure::usage(format!("{base}: this client speaks plain http only"))
                .at("--server")
                .fix(
                    "ssh -L 7070:127.0.0.1:7070 <server host>, then --server http://127.0.0.1:7070",
                ));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("exodus/", env!("CARGO_PKG_VERSION")))
            // The control plane is a local or internal address; a web proxy in between would
            // buffer the event stream.
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(SILENCE))
            .build();
        Ok(Self { agent: config.into(), base, token, key })
    }

    /// The server's address, for messages.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Reads one document.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path).body(()).map_err(|e| self.bad(path, &e))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(&e, false))?;
        self.document(path, response)
    }

    /// Changes something.
    pub(crate) fn post(
        &self,
        path: &str,
        body: &Value,
        conditions: &Conditions,
    ) -> Result<Value, Failure> {
        self.send(Method::POST, path, body, conditions)
    }

    /// Changes something, with the method given.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        conditions: &Conditions,
    ) -> Result<Value, Failure> {
        let mut request = self
            .request(method, path)
            .header("content-type", "application/json")
            .header("idempotency-key", &self.key);
        if let Some(version) = conditions.if_match {
            request = request.header("if-match", format!("\"{version}\""));
        }
        let request = request.body(body.to_string()).map_err(|e| self.bad(path, &e))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(&e, true))?;
        self.document(path, response)
    }

    /// Reads the event stream after `last` and gives each step to `each` until it says stop or
    /// the stream ends.
    pub(crate) fn stream(
        &self,
        path: &str,
        last: Option<&str>,
        each: &mut dyn FnMut(Step) -> bool,
    ) -> Result<(), Failure> {
        let mut request = self.request(Method::GET, path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(()).map_err(|e| self.bad(path, &e))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(&e, false))?;
        if !response.status().is_success() {
            return self.document(path, response).map(|_| ());
        }
        let mut reader = BufReader::new(response.into_body().into_reader());
        let mut parser = Parser::default();
        loop {
            let mut line = String::new();
            match reader.by_ref().take(LINE_MAX).read_line(&mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&error.to_string())),
            }
            let step = parser.line(line.trim_end_matches(['\r', '\n']));
            if step != Step::More && !each(step) {
                return Ok(());
            }
        }
    }

    /// Copies an answer that is no JSON document, as it comes.
    pub(crate) fn download(&self, path: &str, out: &mut dyn Write) -> Result<u64, Failure> {
        let request = self.request(Method::GET, path).body(()).map_err(|e| self.bad(path, &e))?;
        let response = self.agent.run(request).map_err(|e| self.unreachable(&e, false))?;
        if !response.status().is_success() {
            return self.document(path, response).map(|_| 0);
        }
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        let mut total = 0;
        loop {
            let n = reader.read(&mut buffer).map_err(|e| self.lost(&e.to_string()))?;
            if n == 0 {
                out.flush()?;
                return Ok(total);
            }
            out.write_all(&buffer[..n])?;
            total += n as u64;
        }
    }

    fn request(&self, method: Method, path: &str) -> ureq::http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request
    }

    fn document(&self, path: &str, mut response: Response<Body>) -> Result<Value, Failure> {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(BODY_MAX).read_to_vec();
        let body = body.map_err(|e| self.lost(&e.to_string()))?;
        if response.status().is_success() {
            if body.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&body).map_err(|e| self.nonsense(path, &e.to_string()));
        }
        Err(problem::failure(&self.base, path, status, &body, self.token.is_some()))
    }

    fn bad(&self, path: &str, error: &ureq::http::Error) -> Failure {
        Failure::usage(format!("`{}{path}` is no address: {error}", self.base))
            .at("--server or EXODUS_SERVER")
            .fix(format!("exodus --server {DEFAULT_SERVER} status"))
    }

    fn unreachable(&self, error: &ureq::Error, mutating: bool) -> Failure {
        let sent = mutating
            && !matches!(error, ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused);
        let impact = if sent {
            "it is not known whether the server acted; a stored decision is carried out when it is up"
        } else {
            "nothing was changed; while the process is down, so are its interlays"
        };
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Failure::new("EXO-CLI-003", Exit::Unreachable, format!("the server does not answer: {why}"))
            .at(self.base.clone())
            .impact(impact)
            .fix(if sent {
                "exodus status"
            } else {
                "exodus serve (it goes on where it was), or --server with the right address"
            })
    }

    fn lost(&self, error: &str) -> Failure {
        Failure::new("EXO-CLI-003", Exit::Unreachable, format!("the server went silent: {error}"))
            .at(self.base.clone())
            .impact("the run is not affected by a lost client")
            .fix("exodus status")
    }

    fn nonsense(&self, path: &str, error: &str) -> Failure {
        Failure::new("EXO-CLI-004", Exit::Internal, format!("cannot read the answer: {error}"))
            .at(format!("{}{path}", self.base))
            .impact("the request itself may have been carried out")
            .fix("compare `exodus --version` with the server's, then `exodus status -o json`")
    }
}
