//! Preflight, gates and criteria.

use std::io;

use api::{Check, CheckClass, Criterion, Gate, GateState, Verdict};

use crate::output::Format;
use crate::table::Table;
use crate::term::{Io, Paint};
use crate::text::{clean, plural, wrap};

/// Checks, the worst first, each with what was measured and what to do.
pub(crate) fn checks(io: &mut Io<'_>, format: Format, checks: &[Check]) -> io::Result<()> {
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by(|a, b| b.class.cmp(&a.class).then_with(|| a.code.cmp(&b.code)));
    if format == Format::Plain {
        return plain(io, &sorted);
    }
    let (paint, width) = (io.paint(), if format == Format::Wide { usize::MAX } else { io.width });
    let folded = |c: &&&Check| format == Format::Wide || c.class != CheckClass::Pass;
    for check in sorted.iter().filter(folded) {
        one(io, check, paint, width)?;
    }
    let passed = checks.iter().filter(|c| c.class == CheckClass::Pass).count();
    if passed > 0 && format != Format::Wide {
        let word = word(CheckClass::Pass, paint);
        writeln!(io.out, "{word}     {passed} more, shown by: exodus preflight show -o wide")?;
    }
    writeln!(io.out, "\n{}", summary(checks))
}

fn one(io: &mut Io<'_>, check: &Check, paint: Paint, width: usize) -> io::Result<()> {
    let side = check.side.map_or("", api::Side::as_str);
    let pad = " ".repeat(8 - plain_word(check.class).len());
    let head = format!("{}{pad} {:<12}{side:<7}", word(check.class, paint), clean(&check.code));
    let mut lines = wrap(&clean(&check.evidence), width.saturating_sub(29).max(30)).into_iter();
    writeln!(io.out, "{head} {}", lines.next().unwrap_or_default())?;
    for line in lines {
        writeln!(io.out, "{:29}{line}", "")?;
    }
    let mut part = |name: &str, text: &str| {
        let lines = wrap(&clean(text), width.saturating_sub(16).max(40));
        for (n, line) in lines.iter().enumerate() {
            let name = if n == 0 { paint.dim(name) } else { " ".repeat(name.len()) };
            writeln!(io.out, "{:9}{name} {line}", "")?;
        }
        Ok::<_, io::Error>(())
    };
    if check.class != CheckClass::Pass && !check.remedy.is_empty() {
        part("fix   ", &check.remedy)?;
    }
    if check.class >= CheckClass::Risk {
        let waive = if check.waivable { "can be waived" } else { "cannot be waived" };
        part("needed", &format!("before {}; {waive}", check.required_at))?;
    }
    if let Some(waived) = &check.waived {
        part("waived", waived)?;
    }
    Ok(())
}

/// Blockers that count: not waived.
pub(crate) fn blockers(checks: &[Check]) -> usize {
    checks.iter().filter(|c| c.class == CheckClass::Blocker && c.waived.is_none()).count()
}

fn summary(checks: &[Check]) -> String {
    let n = |class| checks.iter().filter(|c| c.class == class && c.waived.is_none()).count() as u64;
    let waived = checks.iter().filter(|c| c.waived.is_some()).count() as u64;
    let mut parts = vec![
        plural(n(CheckClass::Blocker), "blocker", "blockers"),
        plural(n(CheckClass::Risk), "risk", "risks"),
        format!("{} advice", n(CheckClass::Advice)),
        format!("{} passed", n(CheckClass::Pass)),
        format!("{} not run", n(CheckClass::NotRun)),
    ];
    if waived > 0 {
        parts.push(format!("{waived} waived"));
    }
    parts.join(" · ")
}

fn plain(io: &mut Io<'_>, checks: &[&Check]) -> io::Result<()> {
    for c in checks {
        let side = c.side.map_or("", api::Side::as_str);
        let cells = [plain_word(c.class), &c.code, side, &c.required_at, &c.evidence, &c.remedy];
        writeln!(io.out, "{}", cells.map(clean).join("\t"))?;
    }
    Ok(())
}

fn plain_word(class: CheckClass) -> &'static str {
    match class {
        CheckClass::Pass => "pass",
        CheckClass::NotRun => "not run",
        CheckClass::Advice => "advice",
        CheckClass::Risk => "RISK",
        CheckClass::Blocker => "BLOCKER",
    }
}

fn word(class: CheckClass, paint: Paint) -> String {
    let word = plain_word(class);
    match class {
        CheckClass::Pass => paint.good(word),
        CheckClass::NotRun | CheckClass::Advice => word.to_owned(),
        CheckClass::Risk => paint.warn(word),
        CheckClass::Blocker => paint.bad(word),
    }
}

/// Gates with what is missing.
pub(crate) fn gates(io: &mut Io<'_>, format: Format, gates: &[Gate]) -> io::Result<()> {
    let mut table = Table::new(&["gate", "state", "approvals", "who may", "missing"], "no gate");
    for gate in gates {
        let given = gate.approvals.iter().filter(|a| a.approved).count();
        let roles: Vec<_> = gate.roles.iter().map(|r| r.as_str()).collect();
        table.row([
            gate.name.clone(),
            gate_word(gate.state).to_owned(),
            format!("{given} of {}", gate.quorum),
            roles.join(", "),
            gate.missing.join("; "),
        ]);
    }
    table.write(io, format)
}

/// Whether an approval can be given now.
pub(crate) fn asks(gate: &Gate) -> bool {
    matches!(gate.state, GateState::Waiting | GateState::Stale)
}

fn gate_word(state: GateState) -> &'static str {
    match state {
        GateState::Pending => "not asked yet",
        GateState::Waiting => "waiting",
        GateState::Approved => "approved",
        GateState::Rejected => "REJECTED",
        GateState::Stale => "stale",
    }
}

/// Criteria with what was measured.
pub(crate) fn criteria(io: &mut Io<'_>, format: Format, all: &[Criterion]) -> io::Result<()> {
    let mut table =
        Table::new(&["criterion", "kind", "says", "on failure", "measured"], "no criterion");
    for c in all {
        let enforced = if c.enforced { "" } else { " (only recorded)" };
        let says = match c.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NoData => "no data",
        };
        let on_failure = format!("{}{enforced}", c.on_failure);
        table.row([
            c.name.clone(),
            c.kind.clone(),
            says.to_owned(),
            on_failure,
            c.evidence.clone(),
        ]);
    }
    table.write(io, format)
}
