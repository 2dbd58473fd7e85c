// The phase bar and the WAITING ON card with the command that comes next.

import { h, mark, put, say, show } from "../dom";
import { clean, millis, since, words } from "../format";
import type { AllowedAction, Status } from "../model";
import type { Part } from "./strip";

const MARKS: Record<string, string> = { done: "✓", now: "▶", skipped: "–", todo: "·", left: "↩" };

export function phase(): Part {
  const list = h("ol", { class: "phases", "aria-label": "Phases" });
  const title = h("p", { class: "phase-title" });
  const cause = h("p", { class: "phase-cause" });
  const element = h("section", { class: "phase", "aria-label": "Phase" }, list, title, cause);
  return {
    element,
    update(s) {
      const p = s.phase;
      put(
        list,
        ...p.bar.map((m) =>
          h(
            "li",
            { class: `mark ${m.state}`, "aria-current": m.state === "now" ? "step" : null },
            `${MARKS[m.state] ?? "·"} ${words(m.phase)}`,
          ),
        ),
      );
      const soak = p.soak_left_s === undefined ? "" : ` · ${millis(p.soak_left_s * 1000)} to soak`;
      say(title, `${clean(p.title)} · ${words(p.state).toUpperCase()} for ${since(p.since)}${soak}`);
      mark(element, "data-state", p.state);
      show(cause, p.cause !== undefined);
      say(cause, p.cause === undefined ? "" : `cause: ${clean(p.cause)}`);
    },
  };
}

/** `act` opens the dialog of a verb. */
export function waiting(act: (action: AllowedAction) => void): Part {
  const what = h("p", { class: "waiting-what" });
  const who = h("p", { class: "waiting-who" });
  const command = h("code", { class: "command" });
  const copy = h("button", { type: "button", class: "quiet" }, "Copy");
  const main = h("button", { type: "button", class: "main" });
  const why = h("p", { class: "waiting-why" });
  const more = h("div", { class: "actions" });
  const line = h("div", { class: "command-line" }, command, copy);
  const element = h(
    "section",
    { class: "card waiting", "aria-label": "Waiting on" },
    h("h2", {}, "Waiting on"),
    what,
    who,
    line,
    why,
    main,
    h("details", {}, h("summary", {}, "Everything that can be done"), more),
  );
  let primary: AllowedAction | null = null;
  copy.addEventListener("click", () => {
    void navigator.clipboard?.writeText(command.textContent ?? "").then(() => {
      say(copy, "Copied");
      setTimeout(() => say(copy, "Copy"), 1500);
    });
  });
  main.addEventListener("click", () => primary !== null && act(primary));
  let shown = "";
  return {
    element,
    update(s) {
      const w = s.waiting_on;
      say(what, w === undefined ? "Nothing; it moves by itself." : clean(w.what));
      say(who, w === undefined || w.kind === "nothing" ? "" : `for ${since(w.since)} · ${w.who === "the system" ? "it ends by itself" : `${words(w.who)} can end it`}`);
      const next = s.next_steps[0];
      const text = w?.command ?? next?.command ?? "";
      show(line, text !== "");
      say(command, clean(text));
      const because = next !== undefined && next.command === text ? clean(next.why) : "";
      say(why, because === w?.what ? "" : because);
      primary = action(s, text);
      show(main, primary !== null);
      if (primary !== null) {
        say(main, `${title(primary.verb)} …`);
        mark(main, "title", primary.blast_radius);
      }
      const key = JSON.stringify(s.allowed_actions);
      if (key !== shown) {
        shown = key;
        put(more, ...s.allowed_actions.filter((a) => a.verb !== "rollback").map((a) => button(a, act)));
      }
    },
  };
}

/** The action that a command line stands for. */
export function action(s: Status, command: string): AllowedAction | null {
  const typed = command.replace(/^exodus\s+/, "").split(/\s+/);
  const allowed = s.allowed_actions.filter((a) => a.allowed);
  const two = `${typed[0] ?? ""}_${typed[1] ?? ""}`.replaceAll("-", "_");
  const one = (typed[0] ?? "").replaceAll("-", "_");
  return allowed.find((a) => a.verb === two) ?? allowed.find((a) => a.verb === one) ?? null;
}

function button(a: AllowedAction, act: (action: AllowedAction) => void): HTMLElement {
  const element = h(
    "button",
    { type: "button", disabled: !a.allowed, title: a.allowed ? a.blast_radius : (a.why_not ?? "not now") },
    title(a.verb),
  );
  element.addEventListener("click", () => act(a));
  return element;
}

export function title(verb: string): string {
  const text = words(verb);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
