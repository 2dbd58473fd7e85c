// All migrations with phase, authority, undo, divergence.

import { h, put } from "../dom";
import { clean, count, words } from "../format";
import type { MigrationSummary } from "../model";

export function fleet(all: MigrationSummary[], open: (id: string) => void): HTMLElement {
  if (all.length === 0) {
    return h(
      "section",
      { class: "card" },
      h("h2", {}, "No migration yet"),
      h("p", {}, "exodus init --source ADDRESS --target ADDRESS > move.yaml"),
      h("p", {}, "exodus migration create move.yaml"),
    );
  }
  const body = h("tbody", {});
  put(
    body,
    ...all.map((m) => {
      const link = h("a", { href: `#${encodeURIComponent(m.id)}` }, clean(m.id));
      link.addEventListener("click", () => open(m.id));
      return h(
        "tr",
        {},
        h("td", {}, link),
        h("td", {}, m.phase === undefined ? "–" : words(m.phase)),
        h("td", {}, clean(m.step)),
        h("td", {}, words(m.state)),
        h("td", {}, `${m.authority}, epoch ${m.epoch}`),
        h("td", {}, m.undo_ready ? "ready" : "NOT READY"),
        h("td", {}, count(m.divergence_open)),
        h("td", {}, m.waiting_on === undefined ? "" : clean(m.waiting_on.what)),
      );
    }),
  );
  const heads = ["Migration", "Phase", "Step", "State", "Writes", "Undo", "Diverged", "Waiting for"];
  return h(
    "section",
    { class: "card fleet" },
    h("h2", {}, "Migrations"),
    h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((t) => h("th", { scope: "col" }, t)))), body),
  );
}
