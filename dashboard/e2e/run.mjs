// The page in a real browser against canned answers: login, strip, actions by mouse and keyboard,
// hold to roll back, hostile words, a dropped stream, greyscale. `SHOTS=DIR` keeps screenshots.

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

import { fixture, start } from "./fake.mjs";

const binary = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p !== undefined && existsSync(p));
if (binary === undefined) {
  console.error("e2e: no Chromium found; install it (scripts/setup --dashboard) or set CHROMIUM");
  process.exit(2);
}
const shots = process.env.SHOTS;
if (shots !== undefined) mkdirSync(shots, { recursive: true });

const server = await start();
const browser = await chromium.launch({ executablePath: binary, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = await context.newPage();
const trouble = [];
page.on("pageerror", (error) => trouble.push(String(error)));
page.on("console", (message) => {
  if (message.type() === "error" && !/Failed to load resource/.test(message.text())) trouble.push(message.text());
});
page.on("request", (request) => {
  if (!request.url().startsWith(server.url)) trouble.push(`asked elsewhere: ${request.url()}`);
});

const shot = async (name) => {
  if (shots !== undefined) await page.screenshot({ path: `${shots}/${name}.png` });
};
const sees = (text) => page.getByText(text).first().waitFor({ timeout: 5000 });
const step = async (name, body) => {
  await body();
  console.log(`e2e: ${name} ok`);
};

try {
  await step("a wrong token is refused, a right one opens the page", async () => {
    await page.goto(server.url);
    await page.getByLabel("Token").first().fill("bad");
    await page.keyboard.press("Enter");
    await sees("The token is not accepted.");
    await page.getByLabel("Token").first().fill("good");
    await shot("login");
    await page.getByRole("button", { name: "Go on" }).click();
    await sees("SOURCE DECIDES");
  });

  await step("the strip, the undo meter, the phase and the waiting card say it in words", async () => {
    for (const text of ["SOURCE DECIDES", "25 % asked of target · observed 24.8 %", "measured by 2/2 interlays, epoch 12", "READY", "▶ migrate", "somebody to move the next share of reads", "exodus advance --yes", "no open difference", "no client errors"]) {
      await sees(text);
    }
    await page.locator("canvas").first().waitFor();
    await shot("run-light");
  });

  await step("an event arrives over the stream and is shown", async () => {
    server.send({ id: 900, at: new Date().toISOString(), migration: "orders", kind: "soak_over", severity: "notice", message: "the soak is over", payload: null });
    await sees("the soak is over");
  });

  await step("hostile words stay words", async () => {
    const evil = `<img src=x onerror="document.title='owned'">\u202e`;
    server.send({ id: 901, at: new Date().toISOString(), migration: "orders", kind: "<b>x</b>", severity: "alarm", message: evil, payload: null });
    await sees('<img src=x onerror="document.title=');
    assert.equal(await page.locator("main img, main b").count(), 0);
    assert.ok((await page.textContent(".timeline")).includes("\\u{202e}"));
    assert.notEqual(await page.title(), "owned");
  });

  await step("a short press does not roll back, a long one does, once, without a version", async () => {
    const button = page.getByRole("button", { name: "HOLD TO ROLL BACK" });
    await button.click();
    assert.equal(server.state.posted.length, 0);
    const box = await button.boundingBox();
    await page.mouse.move(box.x + 20, box.y + 10);
    await page.mouse.down();
    await page.locator(".holding").waitFor();
    await shot("holding");
    await sees("reads go from 25 % to 50 %");
    await page.mouse.up();
    assert.equal(server.state.posted.length, 1);
    const [sent] = server.state.posted;
    assert.ok(sent.path.endsWith("/verbs/rollback"));
    assert.equal(sent.headers["if-match"], undefined);
    server.state.posted.length = 0;
  });

  await step("rolling back works from the keyboard", async () => {
    await page.getByRole("button", { name: "HOLD TO ROLL BACK" }).focus();
    await page.keyboard.down("Space");
    while (server.state.posted.length === 0) await page.waitForTimeout(20);
    await page.keyboard.up("Space");
    assert.equal(server.state.posted.length, 1);
    server.state.posted.length = 0;
  });

  await step("a verb shows its blast radius and dry run, then acts with version and reason", async () => {
    await page.locator(".waiting button.main").click();
    await sees("May move reads or, at the cutover step, the authority over writes.");
    await page.getByRole("button", { name: "What would it do?" }).click();
    await sees("50 % of cohorts read from the target (about 5 ms)");
    await shot("advance");
    assert.equal(server.state.posted[0].body.dry_run, true);
    await page.getByLabel("Reason (optional)").fill("soak was quiet");
    await page.getByRole("dialog").getByRole("button", { name: "Advance" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    const sent = server.state.posted.at(-1);
    assert.deepEqual([sent.body.yes, sent.body.reason, sent.headers["if-match"]], [true, "soak was quiet", '"41"']);
    server.state.posted.length = 0;
  });

  await step("a refusal is shown with its code and fix", async () => {
    server.state.answer = { status: 412, body: { code: "EXO-API-412", detail: "the state changed", fix: "exodus status" } };
    await page.locator(".waiting button.main").click();
    await page.getByRole("dialog").getByRole("button", { name: "Advance" }).click();
    await sees("EXO-API-412: the state changed · fix: exodus status");
    await page.keyboard.press("Escape");
    server.state.answer = null;
  });

  await step("every verb of the API is a button, and what is not allowed says why", async () => {
    const verbs = (await fixture("verbs.json")).data;
    assert.equal(await page.locator(".actions button").count(), verbs.length - 1);
    assert.equal(await page.locator(".actions button[disabled]").first().getAttribute("title"), "not at this step");
  });

  await step("trouble is loud, in words", async () => {
    server.state.status = await fixture("trouble.json");
    for (const text of ["TARGET DECIDES · FROZEN by a barrier", "NOT READY", "NOT ALL AGREE", "SOURCE DOES NOT ANSWER", "2 OPEN", "From the stored state"]) await sees(text);
    await shot("trouble-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await shot("trouble-dark");
    await page.evaluate(() => void (document.documentElement.style.filter = "grayscale(1)"));
    await shot("trouble-grey");
    await page.evaluate(() => void (document.documentElement.style.filter = ""));
    server.state.status = await fixture("status.json");
    await sees("SOURCE DECIDES");
    await shot("run-dark");
  });

  await step("a silent server turns the age amber; it recovers by itself", async () => {
    server.state.down = true;
    server.drop();
    await page.locator('.age[data-state="stale"]').waitFor({ timeout: 12_000 });
    assert.match(await page.textContent(".age"), /STALE · .* old/);
    await shot("stale");
    server.state.down = false;
    await page.locator('.age[data-state="live"]').waitFor({ timeout: 20_000 });
  });

  await step("a narrow window keeps everything reachable", async () => {
    await page.setViewportSize({ width: 420, height: 900 });
    await page.waitForFunction(() => document.documentElement.scrollWidth <= 420, null, { timeout: 3000 }).catch(() => {});
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 420, `the page is ${wide} wide`);
    await shot("narrow");
  });

  assert.deepEqual(trouble, [], "the console stays quiet");
  console.log("e2e: all ok");
} finally {
  await browser.close();
  await server.close();
}
