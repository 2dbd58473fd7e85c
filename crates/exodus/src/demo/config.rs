//! The migration's document, as an operator would write it for a rehearsed migration.

use std::net::SocketAddr;
use std::path::Path;

/// What the document needs to know.
pub(super) struct Facts<'f> {
    /// `host:port` of the source.
    pub source: String,
    /// `host:port` of the target, or of the proxy before it.
    pub target: String,
    /// Where applications connect.
    pub listen: SocketAddr,
    /// File with the workers' password.
    pub password: &'f Path,
    /// The workers' user and the applications'.
    pub users: (&'f str, &'f str),
    /// Milliseconds each shift of reads is watched.
    pub soak_ms: u128,
    /// One shift of reads and no rehearsal.
    pub brief: bool,
    /// Records copied per second.
    pub copy_rate: Option<u32>,
}

/// The migration's name.
pub(super) const NAME: &str = "demo";

/// Percent of reads on the target, step by step.
pub(super) const STEPS: [u8; 5] = [5, 25, 50, 75, 100];

/// The document.
pub(super) fn document(facts: &Facts<'_>) -> String {
    let Facts { source, target, listen, password, soak_ms, brief, copy_rate, .. } = facts;
    let (worker, application) = facts.users;
    let steps = if *brief { &STEPS[4..] } else { &STEPS[..] };
    let rehearsal = if *brief { "" } else { "  rehearsal: {requires: [rehearsal]}\n" };
    let throttle =
        copy_rate.map_or_else(String::new, |rate| format!("throttle: {{records_per_s: {rate}}}\n"));
    let password = password.display();
    let endpoint = |name: &str, address: &str| {
        format!(
            "{name}:\n  address: {address}\n  user: {worker}\n  password: ${{file:{password}}}\n  \
             application_users: [{application}, default]\n"
        )
    };
    let gate = "{roles: [admin], requester_may_approve: true}";
    format!(
        "# Written by `exodus demo`.\n\
         migration: {NAME}\n\
         family: redis\n\
         # A demo has no owners and no business cycle; prod asks for both.\n\
         environment: dev\n\
         {source}{target}\
         interlay:\n  - listen: {listen}\n\
         strategy:\n  kind: canary\n  steps: {steps:?}\n  soak: {soak_ms}ms\n\
         write:\n  before: both_required\n  after: both_required\n\
         compare:\n  sample_percent: 10\n\
         analysis:\n  cycle: {soak_ms}ms\n\
         checks:\n  smoke:\n    - PING\n    - DBSIZE\n    - GET ds:smoke\n\
         phases:\n\
         \x20 smoke: {{requires: [smoke]}}\n\
         {rehearsal}\
         gates:\n  migrate: {gate}\n  commit: {gate}\n\
         rollback:\n  pause_budget: 1s\n  warm_window: 1s\n{throttle}",
        source = endpoint("source", source),
        target = endpoint("target", target),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_valid() {
        let facts = |brief| Facts {
            source: "127.0.0.1:7001".to_owned(),
            target: "127.0.0.1:7002".to_owned(),
            listen: "127.0.0.1:7003".parse().unwrap(),
            password: Path::new("/run/password"),
            users: ("exodus", "app"),
            soak_ms: 2_000,
            brief,
            copy_rate: brief.then_some(1_000),
        };
        for brief in [false, true] {
            let text = document(&facts(brief));
            let found = control::config::validate(&text, &["redis"]);
            assert!(found.valid, "{:?}\n{text}", found.problems);
        }
    }
}
