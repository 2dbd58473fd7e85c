//! The migration's document, as an operator would write it for a rehearsed migration.

use std::net::SocketAddr;
use std::path::Path;

/// What the document needs to know.
pub(super) struct Facts<'f> {
    /// The family's name.
    pub family: &'f str,
    /// The database on both sides, where connections are to one.
    pub database: Option<&'f str>,
    /// `host:port` of the source.
    pub source: String,
    /// `host:port` of the target, or of the proxy before it.
    pub target: String,
    /// Where applications connect.
    pub listen: SocketAddr,
    /// File with the workers' password.
    pub password: &'f Path,
    /// The workers' user.
    pub worker: &'f str,
    /// The applications' users.
    pub applications: &'f [&'f str],
    /// Commands that have to work on the target.
    pub smoke: &'f [&'f str],
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
    let Facts { family, source, target, listen, password, soak_ms, brief, copy_rate, .. } = facts;
    let steps = if *brief { &STEPS[4..] } else { &STEPS[..] };
    let rehearsal = if *brief { "" } else { "  rehearsal: {requires: [rehearsal]}\n" };
    let throttle =
        copy_rate.map_or_else(String::new, |rate| format!("throttle: {{records_per_s: {rate}}}\n"));
    let password = password.display();
    let database =
        facts.database.map_or_else(String::new, |database| format!("  database: {database}\n"));
    let (worker, applications) = (facts.worker, facts.applications.join(", "));
    let endpoint = |name: &str, address: &str| {
        format!(
            "{name}:\n  address: {address}\n{database}  user: {worker}\n  \
             password: ${{file:{password}}}\n  application_users: [{applications}]\n"
        )
    };
    let smoke: String = facts.smoke.iter().map(|line| format!("    - {line}\n")).collect();
    let gate = "{roles: [admin], requester_may_approve: true}";
    format!(
        "# Written by `exodus demo`.\n\
         migration: {NAME}\n\
         family: {family}\n\
         # A demo has no owners and no business cycle; prod asks for both.\n\
         environment: dev\n\
         {source}{target}\
         interlay:\n  - listen: {listen}\n\
         strategy:\n  kind: canary\n  steps: {steps:?}\n  soak: {soak_ms}ms\n\
         write:\n  before: both_required\n  after: both_required\n\
         compare:\n  sample_percent: 10\n\
         analysis:\n  cycle: {soak_ms}ms\n\
         checks:\n  smoke:\n{smoke}\
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
        let facts = |brief: bool| Facts {
            family: "redis",
            database: brief.then_some("shop"),
            source: "127.0.0.1:7001".to_owned(),
            target: "127.0.0.1:7002".to_owned(),
            listen: "127.0.0.1:7003".parse().unwrap(),
            password: Path::new("/run/password"),
            worker: "exodus",
            applications: &["app", "default"],
            smoke: &["PING", "GET ds:smoke"],
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
