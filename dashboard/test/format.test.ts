import assert from "node:assert/strict";
import { test } from "node:test";

import { age, bytes, clean, count, micros, millis, percent, plural, words } from "../src/format";

test("foreign text is made visible", () => {
  assert.equal(clean("a\u001b[2J\u202eb\n"), "a\\u{1b}[2J\\u{202e}b\\u{a}");
  assert.equal(words("in_step"), "in step");
});

test("numbers have units", () => {
  assert.equal([0, 999, 1000, 10_000, 60_000, 3_600_000].map(millis).join(" | "), "0 ms | 999 ms | 1.0 s | 10 s | 1 min 00 s | 1 h 00 min");
  assert.equal([0, 59_000, 3_599_000, 90_000_000].map(age).join(" | "), "0 s | 59 s | 59 min | 1 d 1 h");
  assert.equal([420, 12_300].map(micros).join(" | "), "0.42 ms | 12.3 ms");
  assert.equal([999, 48_200_000].map(bytes).join(" | "), "999 B | 48.2 MB");
  assert.equal(count(1_234_567), "1,234,567");
  assert.equal(count(undefined), "–");
  assert.equal(plural(1, "risk"), "1 risk");
});

test("a share never reads 100 before it is all", () => {
  assert.equal(percent(99_999, 100_000), "99.9 %");
  assert.equal(percent(100_000, 100_000), "100 %");
  assert.equal(percent(0, 0), "–");
});
