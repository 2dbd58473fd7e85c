// A server with canned answers for the page's tests: serves dist, the fixtures and an event
// stream that the test drives.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "../dist");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
// The policy a careful server sends; the page has to live with it.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A fixture, its times moved so that its "now" is the present. */
export async function fixture(name) {
  const moved = Date.now() - Date.parse("2026-11-20T12:03:09Z");
  const text = await readFile(join(here, "../test/fixtures", name), "utf8");
  return JSON.parse(text, (_, value) => {
    const time = typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) ? Date.parse(value) : NaN;
    return Number.isNaN(time) ? value : new Date(time + moved).toISOString();
  });
}

/** Starts it; `state.status` is what is answered, `send` pushes an event, `drop` ends the streams. */
export async function start() {
  const state = { status: await fixture("status.json"), down: false, posted: [], streams: new Set(), answer: null };
  const verbs = await fixture("verbs.json");
  const fleet = await fixture("fleet.json");
  const server = createServer((request, response) => {
    void answer(request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });
  async function answer(request, response) {
    const url = new URL(request.url, "http://x");
    if (!url.pathname.startsWith("/api/")) return file(url.pathname, response);
    if (state.down) return request.socket.destroy();
    if (request.headers.authorization !== "Bearer good") return json(response, 401, { code: "EXO-API-401", detail: "no", fix: "" });
    if (url.pathname === "/api/v1/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": hello\n\n");
      state.streams.add(response);
      request.on("close", () => state.streams.delete(response));
      return undefined;
    }
    if (request.method === "POST") {
      const body = JSON.parse(await text(request));
      state.posted.push({ path: url.pathname, headers: request.headers, body });
      if (state.answer !== null) return json(response, state.answer.status, state.answer.body);
      const outcome = { verb: url.pathname.split("/").at(-1), applied: !body.dry_run, effects: [{ what: "50 % of cohorts read from the target", touches: "reads", estimated_ms: 5 }], undo: "exodus step-back", message: "reads go from 25 % to 50 %" };
      return json(response, 200, { ...state.status, data: outcome });
    }
    if (url.pathname === "/api/v1/migrations") return json(response, 200, fleet);
    if (url.pathname === "/api/v1/verbs") return json(response, 200, verbs);
    if (url.pathname.endsWith("/status")) return json(response, 200, state.status);
    if (url.pathname.endsWith("/samples")) return json(response, 200, { ...state.status, data: samples() });
    if (url.pathname.endsWith("/gates")) return json(response, 200, { ...state.status, data: [{ name: "cutover", state: "waiting" }] });
    return json(response, 404, { code: "EXO-API-404", detail: url.pathname, fix: "" });
  }
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    state,
    url: `http://127.0.0.1:${server.address().port}/`,
    send(event) {
      for (const stream of state.streams) stream.write(`id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
    },
    drop() {
      for (const stream of state.streams) stream.destroy();
    },
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    }),
  };
}

function samples() {
  const now = Math.floor(Date.now() / 1000);
  const at = Array.from({ length: 120 }, (_, i) => now - (120 - i) * 5);
  const wave = (base, swing) => at.map((_, i) => base + Math.sin(i / 7) * swing);
  return { at, series: { reads_per_s: wave(8400, 600), writes_per_s: wave(1200, 150), source_p99_ms: wave(1.1, 0.2), target_p99_ms: wave(0.9, 0.1), queue_depth: wave(40, 30), lag_ms: wave(5, 3) } };
}

async function file(path, response) {
  const name = path === "/" ? "/index.html" : normalize(path);
  try {
    const body = await readFile(join(dist, name));
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": CSP }).end(body);
  } catch {
    response.writeHead(404).end();
  }
}

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function text(request) {
  let all = "";
  for await (const chunk of request) all += chunk;
  return all;
}
