// The event stream over fetch: EventSource cannot carry a bearer token.

export interface StreamEvent {
  id: string | null;
  kind: string;
  data: string;
}

/** Takes text in any pieces and gives complete events; `alive` is called for every line. */
export class Parser {
  private rest = "";
  private id: string | null = null;
  private kind = "message";
  private data: string[] = [];

  constructor(
    private readonly each: (event: StreamEvent) => void,
    private readonly alive: () => void = () => {},
  ) {}

  push(text: string): void {
    this.rest += text;
    for (;;) {
      const end = this.rest.indexOf("\n");
      if (end < 0) return;
      const line = this.rest.slice(0, end).replace(/\r$/, "");
      this.rest = this.rest.slice(end + 1);
      this.line(line);
    }
  }

  private line(line: string): void {
    this.alive();
    if (line === "") {
      if (this.data.length > 0) this.each({ id: this.id, kind: this.kind, data: this.data.join("\n") });
      this.kind = "message";
      this.data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.id = value;
    else if (field === "event") this.kind = value;
    else if (field === "data") this.data.push(value);
  }
}

export interface Stream {
  /** Ends the stream for good. */
  close(): void;
}

/** Follows the stream after an event until closed: reconnects with backoff and resumes. */
export function follow(
  open: (lastId: string, signal: AbortSignal) => Promise<Response>,
  after: string,
  on: { event: (event: StreamEvent) => void; alive: () => void; state: (connected: boolean) => void; denied: () => void },
): Stream {
  const ended = new AbortController();
  let last = after;
  const run = async () => {
    let wait = 500;
    while (!ended.signal.aborted) {
      try {
        const response = await open(last, ended.signal);
        if (response.status === 401 || response.status === 403) return on.denied();
        if (response.ok && response.body) {
          on.state(true);
          wait = 500;
          const parser = new Parser((event) => {
            if (event.id !== null) last = event.id;
            on.event(event);
          }, on.alive);
          const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
          for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            parser.push(value);
          }
        }
      } catch {
        // The loop tries again; the age counter tells the reader.
      }
      if (ended.signal.aborted) return;
      on.state(false);
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, 8000);
    }
  };
  void run();
  return { close: () => ended.abort() };
}
