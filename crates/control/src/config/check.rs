//! What single values cannot tell: combinations, names, ranges.

use api::ConfigProblem;
use model::Strategy;
use workflow::{Environment, FamilyCaps, Gate, PlanFault, check_plan};

use crate::config::document::Document;
use crate::config::endpoint::InterlaySection;
use crate::config::plan::{plan, window};

/// Everything that is wrong with a document that could be read.
pub(super) fn check(document: &Document, families: &[&str]) -> Vec<ConfigProblem> {
    let mut out = Problems(Vec::new());
    names(document, families, &mut out);
    strategy(document, &mut out);
    ranges(document, &mut out);
    people(document, &mut out);
    if out.0.is_empty() {
        // What the servers can really do is found by preflight; here they may do everything.
        let caps = FamilyCaps { two_phase_commit: true, reverse: true, tenant_filter: true };
        out.0.extend(check_plan(&plan(document), &caps).into_iter().map(fault));
    }
    out.0
}

fn fault(fault: PlanFault) -> ConfigProblem {
    ConfigProblem {
        code: fault.code.to_owned(),
        message: fault.why,
        path: None,
        line: None,
        column: None,
        fix: Some(fault.fix),
    }
}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, path: &str, message: impl Into<String>, fix: impl Into<String>) {
        self.0.push(ConfigProblem {
            code: "EXO-CFG-004".to_owned(),
            message: message.into(),
            path: Some(path.to_owned()),
            line: None,
            column: None,
            fix: Some(fix.into()),
        });
    }
}

fn names(document: &Document, families: &[&str], out: &mut Problems) {
    let name = &document.migration;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        out.add(
            "migration",
            format!("`{name}` is not a name: 1 to 63 lower-case letters, digits and `-`"),
            "choose another name",
        );
    }
    if !families.contains(&document.family.as_str()) {
        let known = families.join(", ");
        out.add(
            "family",
            format!("unknown family `{}`", document.family),
            format!("one of {known}"),
        );
    }
    if document.interlay.is_empty() {
        out.add("interlay", "there is no interlay", "add `- listen: 127.0.0.1:PORT`");
    }
    for (index, one) in document.interlay.iter().enumerate() {
        interlay(document, index, one, out);
    }
    for (path, end) in [("source", Some(&document.source)), ("target", document.target.as_ref())] {
        let Some(end) = end else { continue };
        let port = end.address.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok());
        if port.is_none_or(|p| p == 0) {
            out.add(
                &format!("{path}.address"),
                format!("`{}` is not host:port", end.address),
                "write it as host:port",
            );
        }
    }
    if document.target.as_ref().is_some_and(|t| t.address == document.source.address) {
        out.add("target.address", "source and target are the same address", "name another system");
    }
}

fn interlay(document: &Document, index: usize, one: &InterlaySection, out: &mut Problems) {
    let path = |key: &str| format!("interlay[{index}].{key}");
    if document.interlay[..index].iter().any(|other| other.name == one.name) {
        out.add(&path("name"), format!("two interlays are called `{}`", one.name), "rename one");
    }
    let same = |other: &InterlaySection| other.listen == one.listen && one.listen.port() != 0;
    if document.interlay[..index].iter().any(same) {
        out.add(&path("listen"), format!("{} is used twice", one.listen), "choose another port");
    }
    if one.tls_cert.is_some() != one.tls_key.is_some() {
        out.add(&path("tls_cert"), "tls_cert and tls_key belong together", "give both");
    }
    let listen = one.listen.to_string();
    let ends = [Some(&document.source), document.target.as_ref()];
    if ends.into_iter().flatten().any(|end| end.address == listen) {
        out.add(
            &path("listen"),
            "the interlay would listen on an endpoint's address",
            "another port",
        );
    }
}

fn strategy(document: &Document, out: &mut Problems) {
    let section = &document.strategy;
    let ascending = section.steps.windows(2).all(|w| w[0] < w[1]);
    let bounded = section.steps.iter().all(|s| (1..=100).contains(s));
    if !(ascending && bounded) {
        out.add(
            "strategy.steps",
            "steps are percentages from 1 to 100, each above the one before",
            "e.g. [5, 25, 50, 75, 100]",
        );
    }
    match (section.kind.0, &section.tenants) {
        (Strategy::UserByUser, None) => {
            out.add("strategy.tenants", "user_by_user needs tenants", "add rule and batches");
        }
        (Strategy::UserByUser, Some(_)) | (_, None) => {}
        (other, Some(_)) => out.add(
            "strategy.tenants",
            format!("{other} does not partition by tenant"),
            "remove it, or use `kind: user_by_user`",
        ),
    }
}

fn ranges(document: &Document, out: &mut Problems) {
    if !(0.0..=100.0).contains(&document.compare.sample_percent) {
        out.add("compare.sample_percent", "a percentage lies between 0 and 100", "e.g. 1");
    }
    if !(0.0..=100.0).contains(&document.compare.different_max_percent) {
        out.add("compare.different_max_percent", "a percentage lies between 0 and 100", "e.g. 0");
    }
    if !(1..=128).contains(&document.replay.batch_max) {
        out.add("replay.batch_max", "1 to 128 records per batch", "e.g. 128");
    }
    if !(1..=64).contains(&document.replay.copiers) {
        out.add("replay.copiers", "1 to 64 copiers", "e.g. 4");
    }
    for (place, phase) in &document.phases {
        for text in &phase.windows {
            if let Err(why) = window(text) {
                out.add(
                    &format!("phases.{}.windows", place.0.as_str()),
                    why,
                    "mon-fri 09:00-17:00",
                );
            }
        }
    }
    for (index, waiver) in document.checks.waivers.iter().enumerate() {
        let path = format!("checks.waivers[{index}]");
        if waiver.expires.parse::<jiff::Timestamp>().is_err() {
            out.add(
                &format!("{path}.expires"),
                format!("`{}` is not a time", waiver.expires),
                "e.g. 2030-01-31T00:00:00Z",
            );
        }
        if waiver.reason.trim().is_empty() || waiver.author.trim().is_empty() {
            out.add(&path, "a waiver needs a reason and an author", "give both");
        }
    }
}

fn people(document: &Document, out: &mut Problems) {
    let prod = document.environment.0 == Environment::Prod;
    for (gate, section) in &document.gates {
        let path = format!("gates.{}", gate.0.as_str());
        if prod && section.roles.is_empty() && matches!(gate.0, Gate::Migrate | Gate::Commit) {
            out.add(&path, "this gate cannot be turned off in prod", "name at least one role");
        }
        if section.quorum == 0 {
            out.add(&format!("{path}.quorum"), "at least one approval", "e.g. 1");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::validate;

    fn paths(text: &str) -> Vec<String> {
        let found = validate(text, &["fake"]);
        found.problems.into_iter().map(|p| p.path.unwrap_or(p.code)).collect()
    }

    const HEAD: &str = "environment: dev\nsource: {address: 'a:1'}\ntarget: {address: 'b:1'}\n\
                        interlay: [{listen: '127.0.0.1:7000'}]\n";

    #[test]
    fn combinations_are_refused_by_path() {
        let check = |text: &str, path: &str| {
            let found = paths(&format!("{HEAD}{text}"));
            assert!(found.iter().any(|p| p == path), "{text}: {found:?}");
        };
        let named = "migration: m\nfamily: fake\n";
        assert_eq!(paths(&format!("{HEAD}{named}")), Vec::<String>::new());
        check("migration: M m\nfamily: fake\n", "migration");
        check("migration: m\nfamily: other\n", "family");
        check(&format!("{named}strategy: {{steps: [50, 5]}}\n"), "strategy.steps");
        check(&format!("{named}strategy: {{kind: user_by_user}}\n"), "strategy.tenants");
        check(&format!("{named}replay: {{copiers: 0}}\n"), "replay.copiers");
        check(
            &format!("{named}phases: {{cutting_over: {{windows: ['someday']}}}}\n"),
            "phases.cutting_over.windows",
        );
        check(
            &format!(
                "{named}checks: {{waivers: [{{code: X, reason: '', author: a, expires: z}}]}}\n"
            ),
            "checks.waivers[0].expires",
        );
    }

    #[test]
    fn prod_gates_cannot_be_turned_off() {
        let text = "migration: m\nfamily: fake\nsource: {address: 'a:1'}\n\
                    target: {address: 'b:1'}\ninterlay: [{listen: '127.0.0.1:7000'}]\n\
                    gates: {commit: {roles: []}}\n";
        assert_eq!(paths(text), ["gates.commit"]);
    }
}
