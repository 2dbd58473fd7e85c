// The one door to the server. The token lives in this tab's session storage and nowhere else.

import type { Envelope, MigrationSummary, Problem, Samples, Status, VerbInfo, VerbOutcome, VerbRequest } from "./model";

const TOKEN = "exodus.token";

export class Denied extends Error {}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value: string) => sessionStorage.setItem(TOKEN, value),
  clear: () => sessionStorage.removeItem(TOKEN),
};

function headers(more: Record<string, string> = {}): Record<string, string> {
  const secret = token.get();
  return secret === null ? more : { authorization: `Bearer ${secret}`, ...more };
}

async function read<T>(response: Response): Promise<T> {
  if (response.status === 401) throw new Denied("the token is not accepted");
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const problem = body as Partial<Problem> | null;
    throw new Refused({
      code: problem?.code ?? `HTTP ${response.status}`,
      detail: problem?.detail ?? "the server gave no reason",
      fix: problem?.fix ?? "exodus status",
      ...(problem?.impact === undefined ? {} : { impact: problem.impact }),
    });
  }
  return body as T;
}

async function get<T>(path: string): Promise<T> {
  const signal = AbortSignal.timeout(10_000);
  return read<T>(await fetch(path, { headers: headers(), cache: "no-store", signal }));
}

const migrationPath = (id: string, rest: string) => `/api/v1/migrations/${encodeURIComponent(id)}/${rest}`;

export const api = {
  fleet: () => get<Envelope<MigrationSummary[]>>("/api/v1/migrations"),
  status: (id: string) => get<Envelope<Status>>(migrationPath(id, "status")),
  verbs: () => get<Envelope<VerbInfo[]>>("/api/v1/verbs"),
  gates: (id: string) => get<Envelope<{ name: string; state: string }[]>>(migrationPath(id, "gates")),
  samples: (id: string, from: number) => get<Envelope<Samples>>(migrationPath(id, `samples?from=${from}`)),

  async verb(id: string, verb: VerbInfo, request: VerbRequest, version: number): Promise<Envelope<VerbOutcome>> {
    const more: Record<string, string> = {
      "content-type": "application/json",
      "idempotency-key": crypto.randomUUID(),
    };
    if (verb.if_match) more["if-match"] = `"${version}"`;
    const response = await fetch(migrationPath(id, `verbs/${verb.name}`), {
      method: "POST",
      headers: headers(more),
      body: JSON.stringify(request),
    });
    return read(response);
  },

  events: (id: string) => (last: string, signal: AbortSignal) =>
    fetch(`/api/v1/events?migration=${encodeURIComponent(id)}`, {
      headers: headers({ accept: "text/event-stream", "last-event-id": last }),
      cache: "no-store",
      signal,
    }),
};
