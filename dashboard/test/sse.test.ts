import assert from "node:assert/strict";
import { test } from "node:test";

import { Parser, type StreamEvent } from "../src/sse";

function parse(...pieces: string[]): StreamEvent[] {
  const events: StreamEvent[] = [];
  const parser = new Parser((event) => events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

test("events survive being cut anywhere", () => {
  const text = ": hi\r\n\nid: 7\nevent: phase\ndata: {\ndata: }\n\ndata: x\n\n";
  const whole = parse(text);
  assert.deepEqual(whole, [
    { id: "7", kind: "phase", data: "{\n}" },
    { id: "7", kind: "message", data: "x" },
  ]);
  for (let cut = 1; cut < text.length; cut += 1) {
    assert.deepEqual(parse(text.slice(0, cut), text.slice(cut)), whole);
  }
});

test("a heartbeat is no event", () => {
  assert.deepEqual(parse(": alive\n\n"), []);
});
