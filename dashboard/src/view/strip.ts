// The authority strip: the same everywhere. Source is solid and left, target hatched and right;
// the words say it again, so that neither colour nor position is needed.

import { h, mark, put, say } from "../dom";
import { count, words } from "../format";
import type { Status } from "../model";

export interface Part {
  element: HTMLElement;
  update(status: Status): void;
}

export function strip(): Part {
  const writes = bar("Writes");
  const reads = bar("Reads");
  const measured = h("p", { class: "measured" });
  const follows = h("p", { class: "follows" });
  const element = h(
    "section",
    { class: "strip", "aria-label": "Who decides" },
    h("div", { class: "strip-ends", "aria-hidden": "true" }, h("span", {}, "SOURCE"), h("span", {}, "TARGET")),
    writes.element,
    reads.element,
    h("div", { class: "strip-notes" }, follows, measured),
  );
  return {
    element,
    update(s) {
      const w = s.writes;
      const onTarget = w.authority === "target" ? 100 : 0;
      writes.set(onTarget, null, `${w.authority.toUpperCase()} DECIDES${w.frozen ? " · FROZEN by a barrier" : ""}`);
      mark(writes.element, "data-frozen", w.frozen ? "yes" : null);
      writes.note(`${count(w.rate)}/s · ${words(w.policy)}`);
      const observed = s.reads.observed_percent;
      const seen = observed === undefined ? "no reads observed" : `observed ${observed.toFixed(1)} %`;
      reads.set(s.reads.asked_percent, observed ?? null, `${s.reads.asked_percent} % asked of target · ${seen}`);
      reads.note(`${count(s.reads.rate)}/s · ${words(s.reads.mode)} · ${count(s.reads.pinned_sessions)} pinned`);
      const other = w.authority === "source" ? "target" : "source";
      const moved = w.tenants_moved.length > 0 ? ` · ${count(w.tenants_moved.length)} tenants with the target` : "";
      say(follows, following(other, w.following, w.lag_ms) + moved);
      const { agreeing, of } = w.measured_by;
      const disagree = agreeing < of || of === 0;
      say(measured, `measured by ${agreeing}/${of} interlays, epoch ${w.epoch}${disagree ? " · NOT ALL AGREE" : ""}`);
      mark(measured, "data-loud", disagree ? "yes" : null);
    },
  };
}

function following(other: string, word: string, lag: number): string {
  const behind = lag < 1000 ? `${lag} ms behind` : `${(lag / 1000).toFixed(1)} s behind`;
  switch (word) {
    case "no":
      return `${other} does not follow`;
    case "in_step":
      return `${other} in step, ${behind}`;
    case "following":
      return `${other} follows, ${behind}`;
    case "backfilling":
      return `${other} is being filled, ${behind}`;
    default:
      return `${other} ${words(word).toUpperCase()}, ${behind}`;
  }
}

function bar(name: string) {
  const source = h("div", { class: "side source" });
  const target = h("div", { class: "side target" });
  const tick = h("div", { class: "tick", "aria-hidden": "true" });
  const label = h("span", { class: "bar-words" });
  const note = h("span", { class: "bar-note" });
  const track = h("div", { class: "track", "aria-hidden": "true" }, source, target, tick);
  const element = h("div", { class: "bar" }, h("div", { class: "bar-head" }, h("strong", {}, name), label, note), track);
  return {
    element,
    /** `percent` of it belongs to the target; `observed` is marked by a tick. */
    set(percent: number, observed: number | null, text: string) {
      source.style.flexGrow = String(100 - percent);
      target.style.flexGrow = String(percent);
      tick.hidden = observed === null;
      if (observed !== null) tick.style.left = `${100 - observed}%`;
      mark(source, "data-empty", percent >= 100 ? "yes" : null);
      mark(target, "data-empty", percent <= 0 ? "yes" : null);
      say(label, text);
    },
    note: (text: string) => put(note, text),
  };
}
