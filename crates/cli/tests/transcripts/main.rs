//! What people see, at 80 and 120 columns, on a terminal and in a pipe. A changed line here is a
//! changed habit of somebody on call: look at it before accepting it.

mod fixtures;
mod support;

use api::{Effect, Verb, VerbOutcome};
use insta::assert_snapshot;
use serde_json::{Value, json};
use support::documents::{
    checks, early, envelope, event, fleet, nobody_reads, over, problem, rolled_back, status,
    summary, trouble,
};
use support::{COLOUR, FakeServer, NARROW, PIPE, WIDE, exodus, offline, until};

const STATUS: &str = "GET /api/v1/migrations/orders/status";

fn server() -> FakeServer {
    let server = FakeServer::start();
    server.ok("GET /api/v1/migrations", &fleet());
    server
}

fn with_status(status: &api::Status) -> FakeServer {
    let server = server();
    server.ok(STATUS, &envelope(status));
    server
}

fn outcome(applied: bool) -> Value {
    envelope(&VerbOutcome {
        verb: "advance".into(),
        applied,
        effects: vec![
            Effect {
                what: "50 % of cohorts read from the target".into(),
                touches: "reads".into(),
                estimated_ms: Some(5),
            },
            Effect {
                what: "the soak of 10 min begins".into(),
                touches: "state".into(),
                estimated_ms: None,
            },
        ],
        undo: Some("exodus step-back".into()),
        message: "reads go from 25 % to 50 %".into(),
        result: None,
    })
}

#[test]
fn status_at_80_columns() {
    assert_snapshot!(exodus(&with_status(&status()), NARROW, "status"));
}

#[test]
fn status_at_120_columns() {
    assert_snapshot!(exodus(&with_status(&status()), WIDE, "status"));
}

#[test]
fn reads_of_records_that_were_not_copied_are_no_disagreement() {
    let shown = exodus(&with_status(&early()), NARROW, "status").to_string();
    assert_snapshot!(shown);
}

#[test]
fn records_that_wait_can_be_acted_on() {
    let server = with_status(&status());
    let entry = |state: &str, id: &str, what: &str| api::QueueEntry {
        id: id.into(),
        key: "cart:17".into(),
        state: state.into(),
        age_ms: 34_000,
        attempts: 3,
        last_error: (state == "parked").then(|| "[EXO-RED-011] the server refused it".into()),
        cause: Some("written through an interlay, or retried by an operator".into()),
        what_to_do: Some(what.into()),
    };
    let page = api::Page {
        items: vec![
            entry("parked", r"\x00\x00cart:17", r"exodus queue retry '\x00\x00cart:17'"),
            entry("queued", r"\x00\x00cart:18", "nothing: it is copied by itself"),
        ],
        next: Some(r"queued:17.\x00\x00cart:18".into()),
    };
    server.ok("GET /api/v1/migrations/orders/queue/entries?limit=2", &envelope(&page));
    assert_snapshot!(exodus(&server, NARROW, "queue peek --limit 2"));
}

#[test]
fn a_share_that_is_nobodys_is_explained() {
    let shown = exodus(&with_status(&nobody_reads()), NARROW, "status").to_string();
    assert!(shown.contains("none of that share reads now"), "{shown}");
}

#[test]
fn a_run_that_went_back_shows_how_far_it_came() {
    assert_snapshot!(exodus(&with_status(&rolled_back()), NARROW, "status"));
}

#[test]
fn a_run_that_is_over_asks_for_nothing() {
    let server = with_status(&over());
    assert_snapshot!("over_status", exodus(&server, NARROW, "status"));
    assert_snapshot!("over_next", exodus(&server, PIPE, "next"));
}

#[test]
fn status_in_trouble_at_80_columns() {
    assert_snapshot!(exodus(&with_status(&trouble()), NARROW, "status"));
}

#[test]
fn status_in_trouble_at_120_columns() {
    assert_snapshot!(exodus(&with_status(&trouble()), WIDE, "status"));
}

#[test]
fn a_pipe_gets_the_same_words_and_no_escape() {
    let piped = exodus(&with_status(&trouble()), PIPE, "status");
    let shown = exodus(&with_status(&trouble()), NARROW, "status");
    assert_eq!(piped.out, shown.out);
    assert!(!piped.out.contains('\x1b'));
}

#[test]
fn colour_only_repeats_what_the_words_say() {
    let coloured = exodus(&with_status(&trouble()), COLOUR, "status").out;
    assert!(coloured.contains("\x1b["));
    let mut bare = String::new();
    let mut escape = false;
    for c in coloured.chars() {
        match (escape, c) {
            (false, '\x1b') => escape = true,
            (true, 'm') => escape = false,
            (true, _) => {}
            (false, c) => bare.push(c),
        }
    }
    let plain =
        exodus(&with_status(&trouble()), support::Term { colour: false, ..COLOUR }, "status");
    assert_eq!(bare, plain.out);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for term in [NARROW, WIDE] {
        for document in [status(), trouble()] {
            for line in exodus(&with_status(&document), term, "status").out.lines() {
                assert!(line.chars().count() <= term.width, "{}: {line}", line.chars().count());
            }
        }
    }
}

#[test]
fn plain_status_is_lines_of_name_and_value() {
    let ran = exodus(&with_status(&status()), PIPE, "status -o plain");
    assert!(ran.out.contains("writes.authority\tsource\n"), "{ran}");
    assert!(ran.out.contains("undo.ready\ttrue\n"), "{ran}");
}

#[test]
fn documents_are_the_servers_own() {
    let document = envelope(&status());
    for form in ["json", "jsonl"] {
        let ran = exodus(&with_status(&status()), PIPE, &format!("status -o {form}"));
        assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), document);
    }
    let ran = exodus(&with_status(&status()), PIPE, "status -o yaml");
    assert!(ran.out.contains("state_version: 41"), "{ran}");
}

#[test]
fn hostile_words_cannot_drive_the_terminal() {
    let mut s = status();
    s.data.current = Some("evil\x1b[2J\u{202e}key".into());
    s.data.state = "running".into();
    s.events = vec![event(1, "12:00:00", "x", "info", "a\r\nb\x07")];
    let ran = exodus(&with_status(&s), PIPE, "status");
    assert!(!ran.out.contains(['\x1b', '\u{202e}', '\x07', '\r']), "{ran}");
}

#[test]
fn preflight_at_80_and_120_columns() {
    let server = server();
    server.ok("GET /api/v1/migrations/orders/checks", &envelope(&checks()));
    assert_snapshot!("preflight_80", exodus(&server, NARROW, "preflight show"));
    assert_snapshot!("preflight_120", exodus(&server, WIDE, "preflight show"));
    assert_snapshot!("preflight_plain", exodus(&server, PIPE, "preflight show -o plain"));
}

#[test]
fn next_prints_commands_and_nothing_else_on_stdout() {
    assert_snapshot!(exodus(&with_status(&status()), PIPE, "next"));
}

#[test]
fn a_verb_narrates_until_it_is_confirmed() {
    let server = with_status(&status());
    server.ok("POST /api/v1/migrations/orders/verbs/advance", &outcome(false));
    assert_snapshot!("advance_dry", exodus(&server, NARROW, "advance"));
    let sent = server.seen().into_iter().find(|s| s.line.starts_with("POST")).unwrap();
    assert_eq!(sent.headers["if-match"], "\"41\"");
    assert_eq!(sent.body, json!({"dry_run": false, "yes": false}));
    let server = with_status(&status());
    server.ok("POST /api/v1/migrations/orders/verbs/advance", &outcome(true));
    assert_snapshot!("advance_done", exodus(&server, NARROW, "advance --yes"));
}

#[test]
fn rollback_sends_no_version_and_asks_nothing() {
    let mut back = status();
    back.phase.step = "rolled_back".into();
    let server = with_status(&back);
    server.ok("POST /api/v1/migrations/orders/verbs/rollback", &outcome(true));
    let ran = exodus(&server, NARROW, "rollback");
    assert_eq!(ran.code, 0, "{ran}");
    let seen = server.seen();
    let sent = seen.iter().find(|s| s.line.starts_with("POST")).unwrap();
    assert!(!sent.headers.contains_key("if-match"));
    assert_eq!(sent.body["yes"], false);
    assert!(!seen.iter().take_while(|s| !s.line.starts_with("POST")).any(|s| s.line == STATUS));
}

#[test]
fn a_harmless_move_of_the_version_is_looked_at_again() {
    let server = with_status(&status());
    let path = "POST /api/v1/migrations/orders/verbs/hold";
    server.on(path, 412, &problem("EXO-API-412", "version 42, not 41")).ok(path, &outcome(true));
    let ran = exodus(&server, NARROW, "hold");
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn a_run_that_moved_is_not_acted_on() {
    let server = server();
    let mut moved = status();
    moved.phase.step = "cutting_over".into();
    server.ok(STATUS, &envelope(&status())).ok(STATUS, &envelope(&moved));
    let path = "POST /api/v1/migrations/orders/verbs/advance";
    server.on(path, 412, &problem("EXO-API-412", "version 42, not 41"));
    assert_snapshot!(exodus(&server, NARROW, "advance --yes"));
}

#[test]
fn errors_have_one_form() {
    let server = server();
    let path = "GET /api/v1/migrations/orders/checks";
    server.on(path, 403, &problem("EXO-API-403", "`observer` may not look at this"));
    assert_snapshot!("error_80", exodus(&server, NARROW, "preflight show"));
    assert_snapshot!("error_json", exodus(&server, PIPE, "preflight show -o json"));
    let empty = FakeServer::start();
    empty.ok("GET /api/v1/migrations", &envelope(&Vec::<api::MigrationSummary>::new()));
    assert_snapshot!("error_no_migration", exodus(&empty, NARROW, "status"));
    let several = FakeServer::start();
    several.ok("GET /api/v1/migrations", &envelope(&[summary("orders"), summary("carts")]));
    assert_snapshot!("error_several", exodus(&several, NARROW, "hold"));
    assert_snapshot!("fleet_80", exodus(&several, NARROW, "status"));
    assert_snapshot!("error_unreachable", offline(NARROW, "--server 127.0.0.1:1 status"));
}

#[test]
fn exit_codes_say_what_happened() {
    let server = server();
    for (status, code) in [(401, 5), (403, 5), (404, 2), (409, 8), (412, 8), (500, 1), (503, 9)] {
        let path = format!("GET /api/v1/migrations/s{status}/status");
        server.on(&path, status, &json!({"code": "EXO-API-500", "detail": "x"}));
        let ran = exodus(&server, PIPE, &format!("status -m s{status}"));
        assert_eq!(ran.code, code, "{status}: {ran}");
    }
}

#[test]
fn waiting_ends_truthfully() {
    let server = with_status(&status());
    assert_eq!(exodus(&server, PIPE, "wait --for phase=migrate").code, 0);
    assert_eq!(exodus(&server, PIPE, "wait --for in_step").code, 0);
    assert_eq!(exodus(&server, PIPE, "wait --for authority=target --timeout 1ms").code, 7);
    assert_eq!(exodus(&server, PIPE, "wait --for nonsense").code, 2);
    let mut back = status();
    back.phase.step = "rolled_back".into();
    assert_eq!(exodus(&with_status(&back), PIPE, "wait --for authority=target").code, 10);
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    assert_eq!(offline(PIPE, "advence").code, 2);
    assert_snapshot!("help_80", offline(NARROW, "--help"));
    assert_snapshot!("help_rollback", offline(NARROW, "rollback --help"));
    assert_eq!(offline(PIPE, "explain exo-cli-999").code, 2);
    assert_eq!(offline(PIPE, "explain CLI-003").code, 0);
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let dir = std::env::temp_dir().join(format!("exodus-cli-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("move.yaml");
    std::fs::write(&file, "write:\n  polcy: x\n").unwrap();
    let ran = offline(NARROW, &format!("validate {}", file.display()));
    let text = ran.to_string().replace(&dir.display().to_string(), "DIR");
    std::fs::remove_dir_all(&dir).unwrap();
    assert_snapshot!(text);
}

#[test]
fn init_writes_a_commented_configuration() {
    assert_snapshot!(offline(
        NARROW,
        "init --no-test --source fake://one.example --target two.example:7000 --name orders"
    ));
}

#[test]
fn a_broken_stream_is_taken_up_after_the_last_event() {
    let server = server();
    let page = api::Page { items: vec![event(4, "12:00:00", "started", "info", "x")], next: None };
    server.ok("GET /api/v1/events?limit=20&from=now", &envelope(&page));
    let message = |id| {
        let event = event(id, "12:00:01", "step_entered", "info", "y");
        format!("id: {id}\nevent: step_entered\ndata: {}\n\n", serde_json::json!(event))
    };
    let stream = "GET /api/v1/events?";
    server.text(stream, &format!(": hi\n\n{}", message(5))).text(stream, &message(6));
    let ran = until(&server, 3, "events -f");
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(ran.out.lines().count(), 3, "{ran}");
    let seen = server.seen();
    let resumed = seen.iter().filter_map(|s| s.headers.get("last-event-id").cloned());
    assert!(resumed.collect::<Vec<_>>().starts_with(&["4".to_owned(), "5".to_owned()]), "{seen:?}");
}

#[test]
fn a_watch_in_a_pipe_says_where_it_is_and_when_the_server_is_silent() {
    let server = server();
    let mut moved = status();
    moved.phase.title = "the target decides".into();
    server.ok(STATUS, &envelope(&status())).ok(STATUS, &envelope(&status()));
    server.on(STATUS, 503, &json!(null)).ok(STATUS, &envelope(&moved));
    server.text("GET /api/v1/events", "");
    let ran = until(&server, 3, "status -w");
    assert_eq!(ran.code, 0, "{ran}");
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].contains("reads 25 % on target"), "{ran}");
    assert!(lines[1].contains("STALE"), "{ran}");
    assert!(lines[2].contains("the target decides"), "{ran}");
}

#[test]
fn every_verb_of_the_api_has_a_command() {
    let command = <cli::Client as clap::CommandFactory>::command();
    for verb in Verb::ALL {
        let words: Vec<String> = verb.as_str().split('_').map(str::to_owned).collect();
        let flat = verb.as_str().replace('_', "-");
        let nested = |first: &str, second: &str| {
            command.find_subcommand(first).is_some_and(|c| c.find_subcommand(second).is_some())
        };
        let found = command.find_subcommand(&flat).is_some()
            || words.len() == 2 && nested(&words[0], &words[1])
            || matches!(verb, Verb::ConfigApply) && command.find_subcommand("apply").is_some()
            || matches!(verb, Verb::Revoke) && nested("approvals", "revoke")
            || matches!(verb, Verb::SmokeRun) && nested("drill", "smoke");
        assert!(found, "{} has no command", verb.as_str());
    }
}
