// Four tiles: same? hurting? how far? queue and throttle.

import { h, mark, put, say } from "../dom";
import { age, bytes, clean, count, micros, millis, percent, plural, since, words } from "../format";
import type { Status } from "../model";
import type { Part } from "./strip";

type Row = [label: string, value: string, loud?: boolean];

export function tiles(): Part {
  const same = tile("Same?");
  const hurting = tile("Hurting?");
  const far = tile("How far?");
  const queue = tile("Queue and throttle");
  const element = h("section", { class: "tiles", "aria-label": "Facts" }, same.element, hurting.element, far.element, queue.element);
  return {
    element,
    update(s) {
      same.set(sameHead(s), sameRows(s), s.divergence.open > 0);
      const { reachable, target_reachable, source_trouble, target_trouble } = s.source;
      const down = !reachable || !target_reachable || source_trouble !== undefined || target_trouble !== undefined;
      hurting.set(hurtingHead(s), hurtingRows(s), down || s.source.client_errors_per_min > 0);
      far.set(farHead(s), farRows(s), s.data.failed > 0 || s.data.state === "stalled");
      far.meter(s.data.state === "idle" ? null : { part: s.data.state === "done" ? 100 : Math.min(99.9, s.data.percent) });
      queue.set(`${count(s.queue.depth)} waiting`, queueRows(s), s.queue.parked > 0);
    },
  };
}

function sameHead(s: Status): string {
  const d = s.divergence;
  if (d.open > 0) return `${count(d.open)} OPEN`;
  return d.last_verify === undefined ? "not verified yet" : "no open difference";
}

function sameRows(s: Status): Row[] {
  const d = s.divergence;
  const verify =
    d.verify === "running"
      ? `running, ${(d.verify_percent ?? 0).toFixed(1)} %`
      : d.last_verify === undefined
        ? "never"
        : `${since(d.last_verify)} ago`;
  const rows: Row[] = [
    ["verified", verify],
    ["suspected", count(d.suspected)],
    [
      "compared reads",
      d.consistency_percent === undefined ? "no sample" : `${d.consistency_percent.toFixed(3)} % of ${count(d.compared_reads)} equal`,
    ],
  ];
  if (d.reads_not_there_yet > 0 && !s.reads.secondary_ready) rows.push(["reads of records not copied yet", count(d.reads_not_there_yet)]);
  const ignored = d.by_state["ignored"] ?? 0;
  if (ignored > 0) rows.push(["ignored", count(ignored)]);
  for (const [name, n] of Object.entries(d.by_class)) rows.push([words(name), count(n), true]);
  return rows;
}

function hurtingHead(s: Status): string {
  const { source_trouble: source, target_trouble: target } = s.source;
  if (source !== undefined) return `SOURCE ${clean(source).toUpperCase()}`;
  if (target !== undefined) return `TARGET ${clean(target).toUpperCase()}`;
  if (!s.source.reachable) return "SOURCE DOES NOT ANSWER";
  if (!s.source.target_reachable) return "TARGET DOES NOT ANSWER";
  const errors = s.source.client_errors_per_min;
  return errors > 0 ? `${errors.toFixed(1)} client errors/min` : "no client errors";
}

function hurtingRows(s: Status): Row[] {
  const rows: Row[] = s.latency.filter((l) => l.requests > 0).map((l) => [words(l.side), `p50 ${micros(l.p50_us)} · p99 ${micros(l.p99_us)}`]);
  const change = s.source.p99_change_percent;
  if (change !== undefined) rows.push(["source p99", `${change >= 0 ? "+" : ""}${change.toFixed(0)} % since analyze`]);
  for (const e of s.endpoints) {
    const max = e.memory_max ?? 0;
    const memory = e.memory_used === undefined ? "" : ` · ${bytes(e.memory_used)}${max > 0 ? ` of ${bytes(max)}` : ""}`;
    rows.push([e.side, `${clean(e.product ?? "not probed yet")}${memory}`]);
  }
  const direct = s.source.direct_sessions;
  if (direct !== undefined && direct > 0) rows.push(["past the interlay", `${count(direct)} sessions`, true]);
  const c = s.checks;
  const old = c.running ? "running again" : `${age((c.age_s ?? 0) * 1000)} old`;
  const none = c.running ? "the first run is under way" : "not run yet";
  const found = c.age_s === undefined ? none : `${plural(c.blocker, "blocker")}, ${plural(c.risk, "risk")}, ${old}`;
  rows.push(["preflight", found, c.blocker > 0]);
  return rows;
}

function farHead(s: Status): string {
  const d = s.data;
  if (d.state === "idle") return "no copy yet";
  if (d.state === "done") return "copied";
  return `${percent(Math.min(d.percent, 99.9), 100)} ${words(d.state)}`;
}

function farRows(s: Status): Row[] {
  const d = s.data;
  if (d.state === "idle") return [];
  const rows: Row[] = [["records", `${count(d.records)} of ${count(d.total)}`]];
  if (d.bytes > 0) rows.push(["bytes", bytes(d.bytes)]);
  if (d.state !== "done") rows.push(["rate", `${count(d.rate)} records/s`]);
  if (d.eta !== undefined) rows.push(["left", `${millis(d.eta.low_s * 1000)} to ${millis(d.eta.high_s * 1000)}`]);
  if (d.current !== undefined) rows.push(["now", clean(d.current)]);
  if (d.conflicts > 0) rows.push(["conflicts", count(d.conflicts)]);
  if (d.failed > 0) rows.push(["failed", count(d.failed), true]);
  return rows;
}

function queueRows(s: Status): Row[] {
  const q = s.queue;
  return [
    ["oldest", q.depth > 0 ? millis(q.oldest_ms) : "–"],
    ["in flight", count(q.in_flight)],
    ["from the scan", count(q.bulk)],
    ["parked", count(q.parked), q.parked > 0],
    ["copying", s.source.throttle_reason === undefined ? "not slowed" : s.source.throttle_percent > 0 ? "slowed" : "stopped"],
    ...(s.source.throttle_reason === undefined ? [] : [["because", words(clean(s.source.throttle_reason))] as Row]),
  ];
}

function tile(name: string) {
  const head = h("p", { class: "tile-head" });
  const meter = h("div", { class: "meter" });
  const fill = h("div", { class: "meter-fill" });
  meter.append(fill);
  meter.hidden = true;
  const list = h("dl", {});
  const element = h("article", { class: "card tile" }, h("h2", {}, name), head, meter, list);
  return {
    element,
    set(text: string, rows: Row[], loud: boolean) {
      say(head, text);
      mark(element, "data-loud", loud ? "yes" : null);
      put(
        list,
        ...rows.flatMap(([label, value, shout]) => [
          h("dt", {}, label),
          h("dd", { "data-loud": shout === true ? "yes" : null }, value),
        ]),
      );
    },
    meter(value: { part: number } | null) {
      meter.hidden = value === null;
      if (value === null) return;
      fill.style.width = `${value.part}%`;
      mark(meter, "role", "progressbar");
      mark(meter, "aria-valuenow", value.part.toFixed(1));
    },
  };
}
