//! The command line's own words, through the real binary and without a terminal.

use std::process::{Command, Output};

fn exodus(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_exodus"))
        .args(args)
        .env_clear()
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary was built with this test")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_verb_says_what_it_is_for() {
    let help = text(&exodus(&["--help"]));
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() > 40, "{help}");
    for verb in verbs {
        let shown = exodus(&[verb, "--help"]);
        assert!(shown.status.success(), "{verb}");
        let first = text(&shown).lines().next().unwrap_or_default().to_owned();
        assert!(!first.is_empty() && !first.starts_with("Usage"), "{verb} says nothing");
    }
    insta::assert_snapshot!("help", help);
    insta::assert_snapshot!("help_advance", text(&exodus(&["advance", "-h"])));
}

#[test]
fn what_init_writes_is_valid() {
    for environment in ["prod", "dev"] {
        let args = ["init", "--no-test", "--source", "redis://one.example", "--target"];
        let rest = ["two.example:7000", "--name", "orders", "--environment", environment];
        let written = exodus(&[args.as_slice(), &rest].concat());
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let document = text(&written);
        assert!(document.contains("address: one.example:6379"), "{document}");
        let found = control::config::validate(&document, &["redis"]);
        assert!(found.valid, "{:?}", found.problems);
    }
}

#[test]
fn a_mistake_in_a_configuration_is_shown_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder for one file");
    let file = dir.path().join("move.yaml");
    std::fs::write(&file, "migration: a\nfamily: redis\nsorce:\n  address: x:1\n")
        .expect("the folder is ours");
    let name = file.display().to_string();
    let shown = exodus(&["validate", &name]);
    assert_eq!(shown.status.code(), Some(2));
    let message = String::from_utf8_lossy(&shown.stderr).replace(&name, "move.yaml");
    insta::assert_snapshot!("config_mistake", message);
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    use std::io::Read as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_exodus"))
        .args(["schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    let mut out = child.stdout.take().expect("stdout is piped");
    let mut first = [0];
    out.read_exact(&mut first).expect("something is written");
    drop(out);
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn what_the_workflow_tells_people_to_type_is_understood() {
    use clap::Parser as _;
    let needs = |verb| match verb {
        workflow::VerbKind::Approve | workflow::VerbKind::Reject | workflow::VerbKind::Revoke => {
            " migrate"
        }
        workflow::VerbKind::SetTraffic => " --reads 25",
        workflow::VerbKind::Pin => " alice target",
        workflow::VerbKind::TenantMove | workflow::VerbKind::TenantReturn => " shop",
        workflow::VerbKind::IncidentHold => " --owner alice",
        _ => "",
    };
    let run = workflow::RunState::new("r", "shop", "alice", 0);
    // Evidence is waived where checks are: `preflight waive`.
    let verbs = workflow::VerbKind::ALL
        .iter()
        .filter(|verb| **verb != workflow::VerbKind::Waive)
        .map(|verb| format!("{}{}", workflow::spelt(*verb), needs(*verb)));
    // Known limit: the tap is reached by no verb yet.
    let evidence =
        workflow::EvidenceKind::ALL.iter().filter(|k| **k != workflow::EvidenceKind::Tap);
    let evidence = evidence.map(|kind| kind.verb().to_owned());
    for words in verbs.chain(evidence).chain(["status -w".to_owned()]) {
        let line = workflow::command(&run, &words);
        let parsed = cli::Client::try_parse_from(line.split_whitespace());
        assert!(
            parsed.is_ok(),
            "`{line}`: {}",
            parsed.err().map(|e| e.to_string()).unwrap_or_default()
        );
    }
}
