// One dialog for every verb: what it touches, what it would do (asked of the server), its
// arguments, the reason, and the typed name where the decision is final.

import { api, Refused } from "../api";
import { h, put, say, show } from "../dom";
import { clean, millis, words } from "../format";
import type { AllowedAction, Status, VerbInfo, VerbOutcome, VerbRequest } from "../model";
import { title } from "./phase";

/** Verbs that end something for good want the name typed out. */
const TYPED = new Set(["commit", "finalize", "abandon"]);

export interface Dialogs {
  element: HTMLElement;
  open(status: Status, action: AllowedAction, info: VerbInfo): void;
}

export function dialogs(done: (message: string) => void): Dialogs {
  const element = h("dialog", { class: "verb" });
  return {
    element,
    open(status, action, info) {
      fill(element, status, action, info, done);
      element.showModal();
    },
  };
}

function fill(
  dialog: HTMLDialogElement,
  status: Status,
  action: AllowedAction,
  info: VerbInfo,
  done: (message: string) => void,
): void {
  const version = status.state_version;
  const args = info.args.map(argument);
  for (const arg of args) if (arg.name === "gate") void suggestGate(status.migration, arg.input);
  const reason = h("input", { type: "text", name: "reason", autocomplete: "off", required: info.reason_required });
  const typed = TYPED.has(info.name) ? h("input", { type: "text", name: "typed", autocomplete: "off", required: true }) : null;
  const effects = h("ol", { class: "effects" });
  const message = h("p", { class: "dialog-message", role: "status" });
  const ask = h("button", { type: "button" }, "What would it do?");
  const go = h("button", { type: "submit", class: "main" }, title(info.name));
  const close = h("button", { type: "button" }, "Do nothing");
  const options = args.filter((a) => a.optional).map((a) => h("label", {}, words(a.name), a.input));
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", {}, title(info.name)),
    h("p", {}, clean(info.summary)),
    h("p", { class: "radius" }, clean(action.blast_radius)),
    ...args.filter((a) => !a.optional).map((a) => h("label", {}, words(a.name), a.input)),
    options.length === 0 ? null : h("details", {}, h("summary", {}, "Options"), ...options),
    h("label", {}, info.reason_required ? "Reason" : "Reason (optional)", reason),
    typed === null ? null : h("label", {}, `Type ${clean(status.migration)} to confirm`, typed),
    effects,
    message,
    h("div", { class: "buttons" }, close, ask, go),
  );
  put(dialog, form);

  const request = (dry: boolean): VerbRequest => ({
    dry_run: dry,
    yes: !dry,
    args: Object.fromEntries(args.filter((a) => a.input.value !== "").map((a) => [a.name, value(a)])),
    ...(reason.value === "" ? {} : { reason: reason.value }),
    ...(typed === null || dry ? {} : { typed_name: typed.value }),
  });
  const send = async (dry: boolean) => {
    try {
      const answer = await api.verb(status.migration, info, request(dry), version);
      narrate(effects, answer.data);
      say(message, clean(answer.data.message));
      return answer.data;
    } catch (error) {
      const refused = error instanceof Refused ? error.problem : null;
      say(message, refused === null ? String(error) : `${refused.code}: ${clean(refused.detail)} · fix: ${clean(refused.fix)}`);
      return null;
    }
  };
  show(effects, false);
  ask.addEventListener("click", () => void send(true));
  close.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (typed !== null && typed.value !== status.migration) {
      say(message, `that is not ${clean(status.migration)}`);
      return;
    }
    go.disabled = true;
    void send(false).then((outcome) => {
      go.disabled = false;
      if (outcome?.applied === true) {
        dialog.close();
        done(outcome.message);
      }
    });
  });
}

function narrate(list: HTMLElement, outcome: VerbOutcome): void {
  show(list, outcome.effects.length > 0);
  put(
    list,
    ...outcome.effects.map((e) => {
      const time = e.estimated_ms === undefined ? "" : ` (about ${millis(e.estimated_ms)})`;
      return h("li", {}, `${words(e.touches)}: ${clean(e.what)}${time}`);
    }),
    outcome.undo === undefined ? null : h("li", { class: "undo-line" }, `undo: ${clean(outcome.undo)}`),
  );
}

interface Argument {
  name: string;
  kind: string;
  optional: boolean;
  input: HTMLInputElement;
}

/** `name: type?` of the verb table becomes an input. */
function argument(text: string): Argument {
  const [name = "", rest = "string"] = text.split(":").map((part) => part.trim());
  const optional = rest.endsWith("?");
  const kind = rest.replace(/\?$/, "");
  const input = h("input", {
    type: kind === "integer" || kind === "number" ? "number" : "text",
    name,
    autocomplete: "off",
    required: !optional,
    placeholder: kind,
  });
  return { name, kind, optional, input };
}

function value(a: Argument): unknown {
  const text = a.input.value;
  if (a.kind === "integer" || a.kind === "number") return Number(text);
  if (a.kind === "bool") return text === "true" || text === "yes";
  if (a.kind.startsWith("[")) return text.split(/[\s,]+/).filter((part) => part !== "");
  return text;
}

async function suggestGate(migration: string, input: HTMLInputElement): Promise<void> {
  try {
    const gates = (await api.gates(migration)).data;
    const waiting = gates.find((g) => g.state === "waiting" || g.state === "stale");
    if (waiting !== undefined && input.value === "") input.value = waiting.name;
  } catch {
    // The field stays empty for the person to fill.
  }
}
