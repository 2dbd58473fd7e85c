// What happened, newest first.

import { h, put } from "../dom";
import { clean, clock, words } from "../format";
import type { RunEvent, Status } from "../model";
import type { Part } from "./strip";

const KEPT = 200;
const WORDS: Record<string, string> = { alarm: "ALARM", warning: "WARNING", notice: "notice", info: "" };

export function timeline(): Part & { add(event: RunEvent): void; clear(): void } {
  const list = h("ol", { class: "timeline" });
  const element = h("section", { class: "card events", "aria-label": "Timeline" }, h("h2", {}, "Timeline"), list);
  const events = new Map<number, RunEvent>();
  let newest = 0;

  const draw = () => {
    const sorted = [...events.values()].sort((a, b) => b.id - a.id).slice(0, KEPT);
    for (const id of events.keys()) if (id < (sorted.at(-1)?.id ?? 0)) events.delete(id);
    put(list, ...sorted.map(row));
  };
  return {
    element,
    update(s: Status) {
      const before = newest;
      for (const event of s.events) {
        events.set(event.id, event);
        newest = Math.max(newest, event.id);
      }
      if (newest !== before) draw();
    },
    add(event) {
      if (events.has(event.id)) return;
      events.set(event.id, event);
      newest = Math.max(newest, event.id);
      draw();
    },
    clear() {
      events.clear();
      newest = 0;
      draw();
    },
  };
}

function row(event: RunEvent): HTMLElement {
  const word = WORDS[event.severity] ?? words(event.severity);
  return h(
    "li",
    { class: `event ${event.severity}` },
    h("time", { datetime: event.at, title: event.at }, clock(event.at)),
    word === "" ? null : h("strong", {}, word),
    h("span", { class: "event-kind" }, words(event.kind)),
    h("span", { class: "event-text" }, clean(event.message)),
  );
}
