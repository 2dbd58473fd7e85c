// The undo meter and the button that never moves.

import { h, mark, say } from "../dom";
import { count, millis, since } from "../format";
import { holdButton } from "../hold";
import type { Status } from "../model";
import type { Part } from "./strip";

export function undo(rollback: () => void): Part {
  const ready = h("strong", { class: "undo-ready" });
  const facts = h("p", { class: "undo-facts" });
  const reason = h("p", { class: "undo-reason" });
  const button = holdButton(
    "HOLD TO ROLL BACK",
    "Press and hold: all reads and writes return to the source, at once. Keyboard: hold Space or Enter.",
    rollback,
  );
  button.classList.add("rollback");
  const element = h(
    "section",
    { class: "undo", "aria-label": "Undo" },
    button,
    h("div", { class: "undo-text" }, h("h2", {}, "Undo"), ready, facts, reason),
  );
  return {
    element,
    update(s) {
      const u = s.undo;
      say(ready, u.ready ? "READY" : "NOT READY");
      mark(element, "data-ready", u.ready ? "yes" : "no");
      const parts = [
        u.estimated_ms === undefined ? "time unknown" : `about ${millis(u.estimated_ms)}`,
        `${count(u.writes_at_risk)} writes at risk`,
        rehearsed(u.last_rehearsal),
      ];
      if (u.window_ends !== undefined) parts.push(`window ends ${new Date(u.window_ends).toLocaleString("en-GB")}`);
      say(facts, parts.join(" · "));
      say(reason, u.reason);
      // A final run has nothing to roll back; everywhere else the button works.
      const action = s.allowed_actions.find((a) => a.verb === "rollback");
      button.disabled = action !== undefined && !action.allowed;
      if (action?.why_not !== undefined && !action.allowed) button.title = action.why_not;
    },
  };
}

function rehearsed(r: Status["undo"]["last_rehearsal"]): string {
  if (r === undefined) return "never rehearsed";
  return `${r.passed ? "rehearsed" : "rehearsal FAILED"} ${since(r.at)} ago${r.stale ? ", stale" : ""}`;
}
