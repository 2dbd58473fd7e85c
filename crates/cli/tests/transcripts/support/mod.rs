//! A tiny HTTP server with canned answers, and a command run against it with a captured terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails loudly")]

pub(crate) mod documents;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use api::Validation;
use cli::{Family, Io, Offline};
use serde_json::{Value, json};

/// The moment at which every transcript happens.
pub(crate) const NOW: &str = "2026-11-20T12:03:09Z";

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

type Answers = Arc<Mutex<BTreeMap<String, Vec<(u16, String)>>>>;

/// Canned answers by `METHOD path`; several for one path are given in turn, the last for ever.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    answers: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Answers::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (a, s) = (answers.clone(), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (a, s) = (a.clone(), s.clone());
                std::thread::spawn(move || serve(stream, &a, &s));
            }
        });
        Self { address, answers, seen }
    }

    /// Adds an answer.
    pub(crate) fn on(&self, request: &str, status: u16, body: &Value) -> &Self {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.answers.lock().unwrap().entry(request.to_owned()).or_default().push((status, body));
        self
    }

    /// Adds a 200 answer.
    pub(crate) fn ok(&self, request: &str, body: &Value) -> &Self {
        self.on(request, 200, body)
    }

    /// Adds a 200 answer that is no JSON document.
    pub(crate) fn text(&self, request: &str, body: &str) -> &Self {
        let answer = (200, body.to_owned());
        self.answers.lock().unwrap().entry(request.to_owned()).or_default().push(answer);
        self
    }

    /// Requests so far, without the looks at the fleet.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answers: &Answers, seen: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        let (status, answer) = {
            let mut all = answers.lock().unwrap();
            match all.get_mut(&line) {
                Some(list) if list.len() > 1 => list.remove(0),
                Some(list) => list[0].clone(),
                None => (404, json!({"code": "EXO-API-404", "detail": line}).to_string()),
            }
        };
        seen.lock().unwrap().push(Seen { line, headers, body });
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if stream.write_all(format!("{head}{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

/// What a command wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.out)?;
        if !self.err.is_empty() {
            write!(f, "--- stderr\n{}", self.err)?;
        }
        write!(f, "--- exit {}", self.code)
    }
}

/// A terminal of that width, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    pub(crate) width: usize,
    pub(crate) tty: bool,
    pub(crate) colour: bool,
}

pub(crate) const NARROW: Term = Term { width: 80, tty: true, colour: false };
pub(crate) const WIDE: Term = Term { width: 120, tty: true, colour: false };
pub(crate) const PIPE: Term = Term { width: 80, tty: false, colour: true };
pub(crate) const COLOUR: Term = Term { width: 100, tty: true, colour: true };

/// Runs `exodus ARGS` against the server.
pub(crate) fn exodus(server: &FakeServer, term: Term, args: &str) -> Ran {
    let address = server.address.to_string();
    let args = format!("--server {address} --token t0ken {args}");
    let ran = offline(term, &args);
    let hide = |text: String| text.replace(&address, "SERVER");
    Ran { out: hide(ran.out), err: hide(ran.err), code: ran.code }
}

/// Runs `exodus ARGS` without a server.
pub(crate) fn offline(term: Term, args: &str) -> Ran {
    let mut out = Vec::new();
    let (code, err) = into(&mut out, term, args);
    Ran { out: String::from_utf8(out).unwrap(), err, code }
}

/// Runs `exodus ARGS` against the server for a reader that goes away after some lines.
pub(crate) fn until(server: &FakeServer, lines: usize, args: &str) -> Ran {
    let mut out = Reader { lines, text: Vec::new() };
    let address = server.address.to_string();
    let (code, err) = into(&mut out, PIPE, &format!("--server {address} --token t0ken {args}"));
    Ran { out: String::from_utf8(out.text).unwrap(), err, code }
}

struct Reader {
    lines: usize,
    text: Vec<u8>,
}

impl std::io::Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let enough = self.text.iter().filter(|b| **b == b'\n').count() >= self.lines;
        if enough { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

fn into(out: &mut dyn std::io::Write, term: Term, args: &str) -> (i32, String) {
    let mut err = Vec::new();
    let env = move |name: &str| (name == "NO_COLOR" && !term.colour).then(|| "1".to_owned());
    let mut io = Io {
        out,
        err: &mut err,
        input: &mut Cursor::new(Vec::new()),
        out_tty: term.tty,
        err_tty: false,
        in_tty: false,
        width: term.width,
        env: &env,
        now: &|| NOW.parse().unwrap(),
    };
    let args = std::iter::once("exodus".into()).chain(args.split_whitespace().map(Into::into));
    let code = cli::run_args(args, &mut io, &Canned);
    (code, String::from_utf8(err).unwrap())
}

/// An offline side that finds fault with every document that says so.
pub(crate) struct Canned;

impl Offline for Canned {
    fn validate(&self, text: &str, _: &str) -> Validation {
        let problem = text.contains("polcy").then(|| api::ConfigProblem {
            code: "EXO-CFG-002".to_owned(),
            message: "unknown key `polcy`; did you mean `policy`?".to_owned(),
            path: Some("write.polcy".to_owned()),
            line: Some(7),
            column: Some(3),
            fix: Some("write `policy`".to_owned()),
        });
        Validation {
            valid: problem.is_none(),
            migration: Some("orders".to_owned()),
            digest: None,
            problems: problem.into_iter().collect(),
        }
    }

    fn schema(&self) -> Value {
        json!({"type": "object"})
    }

    fn families(&self) -> &[Family] {
        &[Family {
            name: "fake",
            port: 5000,
            databases: false,
            block: "speed: 1    # an option of this family",
        }]
    }

    fn command(&self) -> clap::Command {
        <cli::Client as clap::CommandFactory>::command()
    }
}
