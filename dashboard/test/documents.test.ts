// The Rust types write the fixtures; the compiler checks them against the page's model here.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Envelope, MigrationSummary, Status, VerbInfo } from "../src/model";
import { action } from "../src/view/phase";
import fleetJson from "./fixtures/fleet.json";
import statusJson from "./fixtures/status.json";
import troubleJson from "./fixtures/trouble.json";
import verbsJson from "./fixtures/verbs.json";

const status: Envelope<Status> = statusJson;
const trouble: Envelope<Status> = troubleJson;
const verbs: Envelope<VerbInfo[]> = verbsJson;
const fleet: Envelope<MigrationSummary[]> = fleetJson;

test("a command line leads to its action, if that is allowed", () => {
  assert.equal(action(status.data, "exodus advance --yes")?.verb, "advance");
  assert.equal(action(status.data, "exodus verify run")?.verb, "verify_run");
  assert.equal(action(status.data, "exodus step-back")?.verb, "step_back");
  assert.equal(action(status.data, "exodus commit --yes"), null);
  assert.equal(action(status.data, ""), null);
});

test("every verb is offered, going back wants neither version nor reason", () => {
  assert.deepEqual(status.data.allowed_actions.map((a) => a.verb), verbs.data.map((v) => v.name));
  for (const name of ["rollback", "panic"]) {
    const verb = verbs.data.find((v) => v.name === name);
    assert.deepEqual([verb?.if_match, verb?.reason_required, verb?.dangerous], [false, false, false]);
  }
});

test("the fixtures say what they are for", () => {
  assert.equal(trouble.data.undo.ready, false);
  assert.equal(fleet.data[0]?.id, "orders");
});
