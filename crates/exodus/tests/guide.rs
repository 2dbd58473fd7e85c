//! The demo's guide against a server that only pretends: it does what the printed next command
//! says, repeats what is refused, and stops where the run stopped.

#![allow(clippy::unwrap_used, reason = "a test ends where it is surprised")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use exodus::demo::door::Door;
use exodus::demo::guide::Guide;
use serde_json::{Value, json};

/// Where the pretended run is, and what was asked of it.
#[derive(Default)]
struct Run {
    version: u64,
    step: usize,
    needs_met: bool,
    asked: Vec<String>,
    stale_once: bool,
}

/// Steps with the command that is needed before `advance` is allowed.
const STEPS: [(&str, Option<&str>); 4] = [
    ("smoke", Some("exodus drill smoke demo")),
    ("rehearsal", Some("exodus approve migrate demo")),
    ("seeding", None),
    ("rolled_back", None),
];

impl Run {
    fn status(&self) -> Value {
        let (step, need) = STEPS[self.step];
        let blocked = need.filter(|_| !self.needs_met);
        let action = |verb: &str, allowed: bool| json!({"verb": verb, "allowed": allowed, "blast_radius": "", "command": ""});
        let waiting = blocked.map(|command| {
            json!({"kind": "operator", "what": "a need", "since": "", "who": "operator",
                   "command": command})
        });
        json!({
            "migration": "demo", "run": "r1", "environment": "dev", "family": "redis",
            "strategy": "canary", "at": "", "state_version": self.version, "live": true,
            "writes": {"authority": "source", "epoch": 1, "policy": "both_required",
                "frozen": false, "following": "no", "lag_ms": 0, "rate": 0.0,
                "measured_by": {"agreeing": 1, "of": 1}},
            "reads": {"mode": "source", "asked_percent": 0, "pinned_sessions": 0, "pins": 0,
                "secondary_ready": false, "rate": 0.0},
            "undo": {"ready": true, "reason": "", "writes_at_risk": 0},
            "phase": {"step": step, "title": step, "state": "running", "since": "", "bar": []},
            "waiting_on": waiting,
            "allowed_actions": [action("advance", blocked.is_none() && self.step < 2)],
            "checks": serde_json::to_value(api::ChecksSummary::default()).unwrap(),
            "data": serde_json::to_value(api::DataStatus::default()).unwrap(),
            "divergence": serde_json::to_value(api::DivergenceStatus::default()).unwrap(),
            "source": serde_json::to_value(api::SourceHealth::default()).unwrap(),
            "queue": serde_json::to_value(api::QueueStatus::default()).unwrap(),
            "latency": [],
        })
    }

    fn verb(&mut self, verb: &str, version: Option<u64>) -> (u16, Value) {
        if version != Some(self.version) || !self.stale_once {
            self.stale_once = true;
            self.version += 1;
            return (412, serde_json::to_value(api::Problem::new("EXO-API-412", "moved")).unwrap());
        }
        self.version += 1;
        self.asked.push(verb.to_owned());
        match verb {
            "advance" => {
                self.step += 1;
                self.needs_met = false;
            }
            _ => self.needs_met = true,
        }
        let done = json!({"verb": verb, "applied": true, "effects": [], "message": "done"});
        (200, envelope(done))
    }
}

fn envelope(data: Value) -> Value {
    json!({"state_version": 1, "data": data})
}

fn serve(run: &Arc<Mutex<Run>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let run = Arc::clone(run);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let run = Arc::clone(&run);
            std::thread::spawn(move || answer(stream.unwrap(), &run));
        }
    });
    at
}

fn answer(stream: TcpStream, run: &Mutex<Run>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut line, mut version, mut length) = (String::new(), None, 0);
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let (name, value) = header.trim().split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "if-match" => version = value.trim_matches('"').parse().ok(),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (code, body) = match path.rsplit_once("/verbs/") {
            Some((_, verb)) => run.lock().unwrap().verb(verb, version),
            None => (200, envelope(run.lock().unwrap().status())),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {code} x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    }
}

#[test]
fn the_guide_follows_the_printed_commands_and_looks_again_when_stale() {
    let run = Arc::new(Mutex::new(Run::default()));
    let mut guide = Guide::new(Door::new(&serve(&run), "token".to_owned()));
    guide.reach("seeding").unwrap();
    let asked = run.lock().unwrap().asked.clone();
    assert_eq!(asked, ["smoke_run", "advance", "approve", "advance"]);
}

#[test]
fn the_guide_stops_where_the_run_went_back() {
    let run = Arc::new(Mutex::new(Run { step: 3, ..Run::default() }));
    let mut guide = Guide::new(Door::new(&serve(&run), "token".to_owned()));
    let told = guide.reach("finalized").unwrap_err().to_string();
    assert!(told.starts_with("EXO-DEM-003") && told.contains("rolled_back"), "{told}");
    assert!(run.lock().unwrap().asked.is_empty());
}
