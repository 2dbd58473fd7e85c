// Boot: token, fleet, then one migration live. Every number on the page is from the status
// document; the event stream only says when to look again.

import "uplot/dist/uPlot.min.css";
import "./style.css";

import { api, Denied, Refused, token } from "./api";
import { h, put } from "./dom";
import type { RunEvent, Status, VerbInfo } from "./model";
import { follow, type Stream } from "./sse";
import { charts } from "./view/charts";
import { dialogs } from "./view/dialog";
import { fleet } from "./view/fleet";
import { head } from "./view/head";
import { login } from "./view/login";
import { phase, waiting } from "./view/phase";
import { strip } from "./view/strip";
import { tiles } from "./view/tiles";
import { timeline } from "./view/timeline";
import { undo } from "./view/undo";

/** Numbers move without events, so the page looks at least this often. */
const POLL_MS = 2000;
/** And not more often than this, however many events come. */
const PACE_MS = 300;
const HISTORY_S = 1800;
const HISTORY_EVERY_MS = 10_000;

const app = document.getElementById("app") ?? document.body;
let leave = () => {};

function start(): void {
  leave();
  leave = () => {};
  const named = decodeURIComponent(location.hash.slice(1));
  api.fleet().then(
    (answer) => {
      const all = answer.data;
      const only = all.length === 1 ? all[0]?.id : undefined;
      const id = all.some((m) => m.id === named) ? named : named === "" ? only : undefined;
      if (id !== undefined) leave = run(id);
      else put(app, h("main", {}, fleet(all, () => {})));
    },
    (error: unknown) => {
      if (error instanceof Denied) return signIn(token.get() === null ? "" : "The token is not accepted.");
      put(app, h("main", {}, h("p", { class: "alert", role: "alert" }, "The server does not answer. Is it running? Trying again …")));
      const again = window.setTimeout(start, POLL_MS);
      leave = () => clearTimeout(again);
    },
  );
}

function signIn(why: string): void {
  leave();
  leave = () => {};
  put(app, login(why, start));
}

function signOut(): void {
  token.clear();
  signIn("");
}

/** One migration, until the returned function is called. */
function run(id: string): () => void {
  const top = head(() => {
    leave();
    leave = () => {};
    history.replaceState(null, "", "#");
    void api.fleet().then((answer) => put(app, h("main", {}, fleet(answer.data, () => {}))));
  }, signOut);
  const dialog = dialogs((message) => {
    top.say(message);
    soon();
  });
  let status: Status | null = null;
  let verbs: VerbInfo[] = [];
  const events = timeline();
  const history_ = charts();
  const parts = [
    strip(),
    undo(() => void rollback()),
    phase(),
    waiting((action) => {
      const info = verbs.find((v) => v.name === action.verb);
      if (status !== null && info !== undefined) dialog.open(status, action, info);
    }),
    tiles(),
    events,
  ];
  const [stripPart, undoPart, phasePart, waitingPart, tilesPart] = parts.map((p) => p.element);
  put(
    app,
    top.element,
    h(
      "main",
      {},
      h("div", { class: "first" }, stripPart ?? null, undoPart ?? null),
      top.notes,
      phasePart ?? null,
      h("div", { class: "second" }, waitingPart ?? null, tilesPart ?? null),
      h("div", { class: "third" }, events.element, history_.element),
    ),
    dialog.element,
  );

  let ended = false;
  let seen: number | null = null;
  let streaming = false;
  let timer = 0;
  let looked = 0;
  let historyAt = 0;
  let stream: Stream | null = null;
  const recent: RunEvent[] = [];

  async function look(): Promise<void> {
    looked = Date.now();
    clearTimeout(timer);
    try {
      if (verbs.length === 0) verbs = (await api.verbs()).data;
      status = (await api.status(id)).data;
      if (ended) return;
      seen = Date.now();
      for (const part of [...parts, top]) part.update(status);
      // Events from here on; those before are in the status already.
      stream ??= listen(Math.max(0, ...status.events.map((e) => e.id)));
      if (Date.now() - historyAt > HISTORY_EVERY_MS) {
        historyAt = Date.now();
        const samples = (await api.samples(id, Math.floor(Date.now() / 1000) - HISTORY_S)).data;
        history_.draw(samples, [...status.events, ...recent]);
      }
    } catch (error) {
      if (error instanceof Denied) return signIn("The token is not accepted any more.");
      if (error instanceof Refused && error.problem.code === "EXO-API-404") return start();
      // Anything else: the age counter grows and turns amber.
    }
    if (!ended) timer = window.setTimeout(() => void look(), POLL_MS);
  }
  function listen(after: number): Stream {
    return follow(api.events(id), String(after), {
      event(message) {
        const event = parse(message.data);
        if (event !== null) {
          events.add(event);
          recent.push(event);
          if (recent.length > 200) recent.shift();
        }
        soon();
      },
      alive() {},
      state(connected) {
        streaming = connected;
      },
      denied: () => signIn("The token is not accepted any more."),
    });
  }
  function soon(): void {
    clearTimeout(timer);
    timer = window.setTimeout(() => void look(), Math.max(0, PACE_MS - (Date.now() - looked)));
  }
  async function rollback(): Promise<void> {
    const info = verbs.find((v) => v.name === "rollback");
    if (info === undefined) return;
    try {
      const answer = await api.verb(id, info, { dry_run: false, yes: true }, 0);
      top.say(answer.data.message);
    } catch (error) {
      top.say(error instanceof Refused ? `${error.problem.code}: ${error.problem.detail}` : "The server does not answer: exodus rollback");
    }
    soon();
  }

  const clock = window.setInterval(() => top.age(seen === null ? null : Date.now() - seen, streaming), 500);
  void look();
  return () => {
    ended = true;
    stream?.close();
    clearInterval(clock);
    clearTimeout(timer);
  };
}

function parse(data: string): RunEvent | null {
  try {
    return JSON.parse(data) as RunEvent;
  } catch {
    return null;
  }
}

window.addEventListener("hashchange", start);
start();
