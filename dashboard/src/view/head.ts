// The head of the page: which migration, how old what is shown is, sign out.

import { h, mark, put, say, show } from "../dom";
import { age as coarse, clean, words } from "../format";
import type { Status } from "../model";

/** Older than this, the age turns amber and says so in words. */
export const STALE_MS = 6000;

export interface Head {
  element: HTMLElement;
  /** Warnings and notes, placed where they push nothing that is pressed in a hurry. */
  notes: HTMLElement;
  update(status: Status): void;
  /** What is shown is `age` ms old; whether the event stream is up. */
  age(ms: number | null, streaming: boolean): void;
  say(message: string): void;
}

export function head(fleet: () => void, out: () => void): Head {
  const name = h("h1", {});
  const facts = h("p", { class: "head-facts" });
  const age = h("output", { class: "age", role: "status" });
  const stored = h("p", { class: "alert" }, "From the stored state: the workers are not up yet.");
  const warnings = h("ul", { class: "warnings" });
  const message = h("p", { class: "toast", role: "status" });
  const all = h("button", { type: "button", class: "quiet" }, "All migrations");
  const bye = h("button", { type: "button", class: "quiet" }, "Sign out");
  all.addEventListener("click", fleet);
  bye.addEventListener("click", out);
  stored.hidden = true;
  message.hidden = true;
  const element = h(
    "header",
    {},
    h("div", { class: "head-line" }, h("span", { class: "brand" }, "Exodus"), name, age, h("span", { class: "spacer" }), all, bye),
    facts,
    message,
  );
  const notes = h("div", { class: "notes" }, stored, warnings);
  notes.hidden = true;
  let hide = 0;
  return {
    element,
    notes,
    update(s) {
      say(name, clean(s.migration));
      document.title = `${s.writes.authority} decides · ${clean(s.migration)} · Exodus`;
      const run = s.run === undefined ? "no run yet" : `run ${clean(s.run)}`;
      say(facts, [run, s.family, s.strategy, s.environment].map(words).join(" · "));
      show(stored, !s.live);
      show(notes, !s.live || s.warnings.length > 0);
      put(warnings, ...s.warnings.map((w) => h("li", {}, h("strong", {}, clean(w.code)), ` ${clean(w.message)}`)));
    },
    age(ms, streaming) {
      if (ms === null) return say(age, "connecting");
      const old = ms > STALE_MS;
      const word = old ? "STALE" : streaming ? "live" : "polling, stream lost";
      say(age, `${word} · ${coarse(ms)} old`);
      mark(age, "data-state", old ? "stale" : streaming ? "live" : "lost");
      mark(document.body, "data-stale", old ? "yes" : null);
    },
    say(text) {
      say(message, clean(text));
      show(message, true);
      clearTimeout(hide);
      hide = window.setTimeout(() => show(message, false), 8000);
    },
  };
}
