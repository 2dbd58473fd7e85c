//! The status: the six questions, always in the same order, so that the eye knows where to look.
//!
//! A state is always a word; colour and bold only repeat it.

mod queue;

use std::io;

use api::{PhaseStatus, Side, Status};
use jiff::Timestamp;

use super::events;
use crate::output::Format;
use crate::term::{Io, Paint};
use crate::text::{age, bytes, clean, columns, count, micros, millis, plural, wrap};

/// Columns of the labels on the left.
const LABEL: usize = 12;
/// Events shown below.
const EVENTS: usize = 6;

/// Writes the status for people, or as `name<TAB>value` lines for pipes.
pub(crate) fn write(io: &mut Io<'_>, format: Format, status: &Status) -> io::Result<()> {
    if format == Format::Plain {
        return super::plain(io, status);
    }
    let width = if format == Format::Wide { usize::MAX } else { io.width.max(60) };
    let text = text(status, width, io.paint(), (io.now)());
    io.out.write_all(text.as_bytes())
}

/// The whole page.
pub(crate) fn text(status: &Status, width: usize, paint: Paint, now: Timestamp) -> String {
    let mut page = Page { out: String::new(), width, paint, now };
    page.head(status);
    page.section("WRITES", &writes(status, paint));
    page.section("READS", &reads(status, paint));
    page.section("UNDO", &undo(status, paint, now));
    page.section("PHASE", &phase(status, paint, now));
    page.section("WAITING", &waiting(status, paint, now));
    page.section("CHECKS", &checks(status, paint));
    page.section("DATA", &data(status, paint));
    page.section("DIVERGENCE", &divergence(status, paint, now));
    page.section("SOURCE", &source(status, paint));
    page.warnings(status);
    page.events(status);
    page.out
}

struct Page {
    out: String,
    width: usize,
    paint: Paint,
    now: Timestamp,
}

impl Page {
    fn head(&mut self, status: &Status) {
        let mut parts = vec![self.paint.bold(&clean(&status.migration))];
        parts.extend(status.run.iter().map(|r| format!("run {}", clean(r))));
        parts.extend([&status.family, &status.strategy, &status.environment].map(|w| clean(w)));
        parts.push(format!("{} UTC", time_of(&status.at)));
        self.line(&parts.join(" · "));
        if !status.live {
            let text = "from the stored state: the workers are not up yet";
            self.line(&self.paint.warn(text));
        }
        self.out.push('\n');
    }

    /// A label with facts beside it: each group starts a line, facts wrap at `·`.
    fn section(&mut self, label: &str, groups: &[Vec<String>]) {
        let mut head = label;
        for group in groups.iter().filter(|g| !g.is_empty()) {
            for line in fill(group, self.width.saturating_sub(LABEL)) {
                let padded = format!("{head:<LABEL$}");
                self.out.push_str(&self.paint.bold(&padded));
                self.out.push_str(&line);
                self.out.push('\n');
                head = "";
            }
        }
    }

    fn warnings(&mut self, status: &Status) {
        if status.warnings.is_empty() {
            return;
        }
        let lines = status
            .warnings
            .iter()
            .map(|w| vec![format!("{} {}", self.paint.warn(&clean(&w.code)), clean(&w.message))]);
        let lines: Vec<_> = lines.collect();
        self.section("WARNINGS", &lines);
    }

    fn events(&mut self, status: &Status) {
        if status.events.is_empty() {
            return;
        }
        self.out.push('\n');
        let skip = status.events.len().saturating_sub(EVENTS);
        for event in &status.events[skip..] {
            self.line(&events::line(event, self.paint, self.now, self.width));
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// Joins facts with ` · ` into lines of at most `width` columns; a longer fact is wrapped.
fn fill(facts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts.iter().filter(|f| !f.is_empty()) {
        match lines.last_mut() {
            Some(line) if columns(line) + 3 + columns(fact) <= width => {
                line.push_str(" · ");
                line.push_str(fact);
            }
            _ if columns(fact) > width => lines.extend(wrap(fact, width)),
            _ => lines.push(fact.clone()),
        }
    }
    lines
}

fn writes(status: &Status, paint: Paint) -> Vec<Vec<String>> {
    let w = &status.writes;
    let mut first = vec![
        paint.bold(&format!("{} decides", w.authority.as_str())),
        format!("epoch {}", w.epoch),
        clean(&w.policy),
        rate(w.rate, "writes/s"),
    ];
    if w.frozen {
        first.insert(1, paint.warn("FROZEN by a barrier"));
    }
    let other = if w.authority == Side::Source { "target" } else { "source" };
    let follows = match w.following.as_str() {
        "no" => format!("{other} does not follow"),
        "in_step" => paint.good(&format!("{other} in step")),
        "following" => format!("{other} follows"),
        "backfilling" => format!("{other} is being filled"),
        word => paint.warn(&format!("{other} {}", clean(&word.replace('_', " ")))),
    };
    let mut second = vec![follows];
    if w.following != "no" {
        second.push(format!("{} behind", millis(w.lag_ms)));
    }
    let agree = format!("measured by {}/{} interlays", w.measured_by.agreeing, w.measured_by.of);
    let all = w.measured_by.agreeing == w.measured_by.of && w.measured_by.of > 0;
    second.push(if all { agree } else { paint.warn(&agree) });
    let mut third = Vec::new();
    if !w.tenants_moved.is_empty() {
        let names: Vec<_> = w.tenants_moved.iter().take(8).map(|t| clean(t)).collect();
        let more = if w.tenants_moved.len() > names.len() { ", …" } else { "" };
        let n = plural(w.tenants_moved.len() as u64, "tenant", "tenants");
        third.push(format!("{n} with the target: {}{more}", names.join(", ")));
    }
    vec![first, second, third]
}

fn reads(status: &Status, paint: Paint) -> Vec<Vec<String>> {
    let r = &status.reads;
    let observed = match r.observed_percent {
        Some(percent) => format!("observed {percent:.1} %"),
        None => "no reads observed".to_owned(),
    };
    let mut facts = vec![
        paint.bold(&format!("{} % asked of target", r.asked_percent)),
        observed,
        format!("mode {}", clean(&r.mode)),
        format!("{} pinned", plural(r.pinned_sessions, "session", "sessions")),
        rate(r.rate, "reads/s"),
    ];
    if r.pins > 0 {
        facts.push(plural(r.pins.into(), "explicit pin", "explicit pins"));
    }
    if r.secondary_ready && r.asked_percent > 0 && r.observed_percent.is_some_and(|p| p < 0.05) {
        // With few clients a small share may be nobody, which looks like a fault.
        facts.push("shares are of clients: none of that share reads now".to_owned());
    }
    if !r.secondary_ready && r.asked_percent > 0 {
        facts.push(paint.warn("the other side may not serve reads now"));
    }
    vec![facts]
}

fn undo(status: &Status, paint: Paint, now: Timestamp) -> Vec<Vec<String>> {
    let u = &status.undo;
    let mut first = vec![if u.ready { paint.good("ready") } else { paint.bad("NOT READY") }];
    first.extend(u.estimated_ms.map(|ms| format!("about {}", millis(ms))));
    let risk = plural(u.writes_at_risk, "write at risk", "writes at risk");
    first.push(if u.writes_at_risk > 0 { paint.warn(&risk) } else { risk });
    first.push(match &u.last_rehearsal {
        None => "never rehearsed".to_owned(),
        Some(r) => {
            let result = if r.passed { "rehearsed" } else { "rehearsal FAILED" };
            let stale = if r.stale { ", stale" } else { "" };
            let [there, back] = r.pause_ms;
            format!(
                "{result} {} (paused {} + {}{stale})",
                ago(&r.at, now),
                millis(there),
                millis(back)
            )
        }
    });
    first.extend(u.window_ends.as_ref().map(|end| format!("window ends {}", until(end, now))));
    vec![first, vec![clean(&u.reason)]]
}

fn phase(status: &Status, paint: Paint, now: Timestamp) -> Vec<Vec<String>> {
    let p = &status.phase;
    let mut second = vec![clean(&p.title), state_word(p, paint), lasting(&p.since, now)];
    second.extend(p.soak_left_s.map(|s| format!("{} to soak", millis(s * 1000))));
    let cause = p.cause.as_ref().map(|c| format!("cause: {}", clean(c)));
    if p.phase.is_none() {
        return vec![vec![clean(&p.title)]];
    }
    vec![vec![bar(p, paint)], second, cause.into_iter().collect()]
}

fn bar(phase: &PhaseStatus, paint: Paint) -> String {
    let marks = phase.bar.iter().map(|mark| {
        let name = mark.phase.as_str();
        match mark.state.as_str() {
            "done" => format!("✓{name}"),
            "now" => paint.bold(&format!("▶{}", name.to_uppercase())),
            "skipped" => paint.dim(&format!("–{name}")),
            "left" => paint.warn(&format!("↩{name}")),
            _ => paint.dim(&format!("·{name}")),
        }
    });
    marks.collect::<Vec<_>>().join(" ")
}

fn state_word(phase: &PhaseStatus, paint: Paint) -> String {
    let word = clean(&phase.state.replace('_', " "));
    match phase.state.as_str() {
        "failed" | "panicked" => paint.bad(&word.to_uppercase()),
        "held" | "rolled_back" | "rolling_back" => paint.warn(&word.to_uppercase()),
        _ => word,
    }
}

fn waiting(status: &Status, paint: Paint, now: Timestamp) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    let mut shown = None;
    match &status.waiting_on {
        None if status.run.is_none() => groups.push(vec!["somebody to start a run".to_owned()]),
        None => groups.push(vec!["nothing; it moves by itself".to_owned()]),
        Some(w) => {
            groups.push(vec![clean(&w.what), lasting(&w.since, now)]);
            if w.kind != "nothing" {
                groups.push(vec![match w.who.as_str() {
                    "the system" => "it ends by itself".to_owned(),
                    who => format!("{} can end it", clean(who)),
                }]);
            }
            shown = w.command.as_deref();
        }
    }
    let command = shown.or(status.next_steps.first().map(|n| n.command.as_str()));
    if let Some(command) = command {
        groups.push(vec![format!("next: {}", paint.bold(&clean(command)))]);
    }
    groups
}

fn checks(status: &Status, paint: Paint) -> Vec<Vec<String>> {
    let c = &status.checks;
    let Some(seconds) = c.age_s else {
        if c.running {
            return vec![vec!["the first run is under way".to_owned()]];
        }
        return vec![vec!["not run yet".to_owned(), "exodus preflight run".to_owned()]];
    };
    let blockers = plural(c.blocker.into(), "blocker", "blockers");
    let mut facts = vec![
        if c.blocker > 0 { paint.bad(&blockers) } else { blockers },
        plural(c.risk.into(), "risk", "risks"),
        format!("{} advice", c.advice),
        format!("{} passed", c.pass),
    ];
    if c.not_run > 0 {
        facts.push(paint.warn(&format!("{} not run", c.not_run)));
    }
    if c.waived > 0 {
        facts.push(format!("{} waived", c.waived));
    }
    facts.push(match c.running {
        true => "running again".to_owned(),
        false => format!("{} old", age(seconds * 1000)),
    });
    vec![facts]
}

fn data(status: &Status, paint: Paint) -> Vec<Vec<String>> {
    let d = &status.data;
    let mut first = vec![match d.state.as_str() {
        "idle" => "no copy yet".to_owned(),
        "done" => paint.good("copied"),
        "stalled" => paint.bad("STALLED"),
        "paused" => paint.warn("paused"),
        word => clean(word),
    }];
    if d.state != "idle" {
        let done = d.state == "done";
        first.push(meter(d.percent, done));
        first.push(format!("{} of {} records", count(d.records), count(d.total)));
        if !done {
            first.push(rate(d.rate, "records/s"));
        }
        if d.bytes > 0 {
            first.push(bytes(d.bytes));
        }
        first
            .extend(d.eta.map(|e| {
                format!("{} to {} left", millis(e.low_s * 1000), millis(e.high_s * 1000))
            }));
        if !done {
            first.extend(d.current.as_ref().map(|c| format!("now {}", clean(c))));
        }
    }
    let mut second = Vec::new();
    if d.conflicts > 0 {
        second.push(plural(d.conflicts, "conflict", "conflicts"));
    }
    if d.failed > 0 {
        second.push(paint.warn(&format!("{} failed", count(d.failed))));
    }
    second.extend(queue::words(paint, &status.queue));
    vec![first, second]
}

/// `[#####-----] 52.1 %`; never 100 before it is done.
fn meter(percent: f64, done: bool) -> String {
    const CELLS: usize = 20;
    let shown = if done { 100.0 } else { percent.clamp(0.0, 99.9) };
    let full = (1..=CELLS).filter(|n| shown * CELLS as f64 >= *n as f64 * 100.0).count();
    format!("[{}{}] {shown:.1} %", "#".repeat(full), "-".repeat(CELLS - full))
}

fn divergence(status: &Status, paint: Paint, now: Timestamp) -> Vec<Vec<String>> {
    let d = &status.divergence;
    let open = format!("{} open", count(d.open));
    let mut facts = vec![if d.open > 0 { paint.bad(&open) } else { open }];
    facts.push(format!("{} suspected", count(d.suspected)));
    for (class, n) in &d.by_class {
        facts.push(format!("{} {}", count(*n), clean(class)));
    }
    if let Some(n) = d.by_state.get("ignored") {
        facts.push(format!("{} ignored", count(*n)));
    }
    facts.push(match (&d.last_verify, d.verify_percent) {
        (_, Some(percent)) if d.verify == "running" => format!("verifying {percent:.1} %"),
        (Some(at), _) => format!("verified {}", ago(at, now)),
        (None, _) => "never verified".to_owned(),
    });
    facts.extend(d.consistency_percent.map(|p| {
        format!("{p:.3} % of {} equal", plural(d.compared_reads, "compared read", "compared reads"))
    }));
    if d.reads_not_there_yet > 0 && !status.reads.secondary_ready {
        let reads = plural(d.reads_not_there_yet, "read", "reads");
        facts.push(format!("{reads} of records not copied yet"));
    }
    vec![facts]
}

fn source(status: &Status, paint: Paint) -> Vec<Vec<String>> {
    let s = &status.source;
    let mut facts = Vec::new();
    let sides = [
        ("source", s.reachable, &s.source_trouble),
        ("target", s.target_reachable, &s.target_trouble),
    ];
    for (name, up, trouble) in sides {
        if let Some(trouble) = trouble {
            facts.push(paint.bad(&format!("{name} {}", shout(trouble))));
        } else if !up {
            facts.push(paint.bad(&format!("{name} DOES NOT ANSWER")));
        }
    }
    facts.extend(s.p99_change_percent.map(|p| format!("p99 {p:+.0} % since analyze")));
    for side in status.latency.iter().filter(|side| side.requests > 0) {
        facts.push(format!(
            "{} p50 {} p99 {}",
            clean(&side.side),
            micros(side.p50_us),
            micros(side.p99_us)
        ));
    }
    facts.push(match &s.throttle_reason {
        Some(reason) if s.throttle_percent > 0.0 => format!("copy slowed: {}", words(reason)),
        Some(reason) => format!("copy stopped: {}", words(reason)),
        None => "copy not slowed".to_owned(),
    });
    let errors = format!("{:.1} client errors/min", s.client_errors_per_min);
    facts.push(if s.client_errors_per_min > 0.0 { paint.warn(&errors) } else { errors });
    if let Some(n) = s.direct_sessions.filter(|n| *n > 0) {
        facts.push(paint.warn(&plural(
            n,
            "session past the interlay",
            "sessions past the interlay",
        )));
    }
    vec![facts, servers(status)]
}

fn words(text: &str) -> String {
    clean(text).replace('_', " ")
}

/// `source redis 7.0.15 43.0 MB`, with the limit where there is one.
fn servers(status: &Status) -> Vec<String> {
    let one = |e: &api::Endpoint| {
        let product = e.product.as_deref().unwrap_or("not probed yet");
        let memory = match (e.memory_used, e.memory_max) {
            (Some(used), Some(max)) if max > 0 => format!(", {} of {}", bytes(used), bytes(max)),
            (Some(used), _) => format!(", {} in memory", bytes(used)),
            (None, _) => String::new(),
        };
        format!("{} is {}{memory}", e.side.as_str(), clean(product))
    };
    status.endpoints.iter().map(one).collect()
}

/// The verdict in capitals, what explains it as it is: `REFUSES WRITES: out of memory`.
fn shout(trouble: &str) -> String {
    let (verdict, why) = trouble.split_at(trouble.find(':').unwrap_or(trouble.len()));
    format!("{}{}", clean(verdict).to_uppercase(), clean(why))
}

fn rate(per_second: f64, unit: &str) -> String {
    if per_second > 0.0 && per_second < 10.0 {
        format!("{per_second:.1} {unit}")
    } else {
        format!("{} {unit}", count(per_second.max(0.0).round() as u64))
    }
}

/// `12:03:09` of an RFC 3339 time.
fn time_of(at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| clean(at), |t| t.strftime("%H:%M:%S").to_string())
}

/// `3 min ago`.
pub(crate) fn ago(at: &str, now: Timestamp) -> String {
    since(at, now).map_or_else(|| clean(at), |ms| format!("{} ago", age(ms)))
}

/// `for 3 min`.
fn lasting(at: &str, now: Timestamp) -> String {
    since(at, now).map_or_else(|| clean(at), |ms| format!("for {}", age(ms)))
}

/// Milliseconds since an RFC 3339 time; 0 for one that is still to come.
fn since(at: &str, now: Timestamp) -> Option<u64> {
    let at = at.parse::<Timestamp>().ok()?;
    Some(u64::try_from(now.duration_since(at).as_millis()).unwrap_or(0))
}

/// `in 71 h`, or `is over`.
fn until(at: &str, now: Timestamp) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) if at > now => format!("in {}", age(at.duration_since(now).as_millis() as u64)),
        Ok(_) => "now".to_owned(),
        Err(_) => clean(at),
    }
}
