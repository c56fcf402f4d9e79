// What the page's tests have in common: a browser that knows nothing yet, and a person's steps.
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

// The packages lie where set-up put them, not in the repository.
const modules = process.env.SOCKEYE_NODE_MODULES;
const require = createRequire(path.join(modules ?? import.meta.dirname, "x.js"));
const { chromium } = require("playwright-core");
export const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [url, pictures, only] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.SOCKEYE_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
let failed = 0;
let passed = 0;

/** Runs one test. Errors in the page fail it, unless its `options.forgiven` matches them. */
export async function test(name, what, { forgiven, ...options } = {}) {
  if (only && !name.includes(only)) return;
  const context = await browser.newContext({ viewport: { width: 412, height: 860 }, bypassCSP: true, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") wrong.push(message.text()); });
  // Long enough for a slow machine: who waits for what comes loses nothing.
  page.setDefaultTimeout(60_000);
  // What the page says stays there for seconds only: it is kept, so that a slow browser misses none of it, and told when a test fails.
  const said = [];
  await page.exposeFunction("heard", (text) => { said.push(text); });
  await page.addInitScript(() => {
    globalThis.unheard = [];
    addEventListener("DOMContentLoaded", () => {
      const place = document.getElementById("message");
      new MutationObserver(() => {
        globalThis.heard(place.textContent);
        globalThis.unheard.push({ text: place.textContent, bad: place.classList.contains("bad") });
      }).observe(place, { childList: true });
    });
  });
  try {
    await what(page, context);
    assert.deepEqual(wrong.filter((text) => !forgiven?.test(text)), [], "errors in the page");
    passed += 1;
    console.log(`test ${name} ... ok`);
  } catch (error) {
    failed += 1;
    console.log(`test ${name} ... FAILED\n${error.stack}\n${wrong.join("\n")}\nsaid: ${said.join(" | ")}`);
    if (pictures) await page.screenshot({ path: path.join(pictures, `failed-${passed + failed}.png`) }).catch(() => {});
  } finally {
    await context.close();
  }
}

/** Closes the browser and tells how it went, as a test binary does. */
export async function end() {
  await browser.close();
  console.log(`test result: ${failed ? "FAILED" : "ok"}. ${passed} passed; ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

export const ready = (page) => page.locator("html[data-ready=yes]").waitFor({ state: "attached" });

export async function start(page) {
  await page.goto(url);
  await ready(page);
}

/** Opens what there is around a simulated socket. */
export async function world(page) {
  const open = await page.locator("#simulator").evaluate((it) => it.open);
  if (!open) await page.getByText("The simulated world").click();
}

/** Plugs in a simulated socket. */
export async function plugIn(page, { model = "EU", region = "EU868", first = true } = {}) {
  if (!first) await world(page);
  await page.getByRole("button", { name: first ? /Simulated socket/ : "Another one…" }).click();
  await page.getByLabel("Model").selectOption(model);
  await page.getByRole("dialog").getByLabel("Frequency band").selectOption(region);
  await page.getByRole("button", { name: "Plug it in" }).click();
  await page.locator("#who-detail", { hasText: `${model} · ${region}` }).waitFor();
}

export const tab = (page, name) => page.getByRole("tab", { name }).click();

/** Waits until the page says so, each message being heard once; a bad one is in the colour of errors. */
export const message = (page, text, { bad } = {}) => page.waitForFunction(([part, isBad]) => {
  const at = globalThis.unheard.findIndex((it) => it.text.includes(part) && (isBad === null || it.bad === isBad));
  return globalThis.unheard.splice(0, at + 1).length > 0;
}, [text, bad ?? null]);

export async function password(page, text = "123456") {
  await page.getByRole("dialog").getByLabel("Password").fill(text);
  await page.getByRole("button", { name: "Go on", exact: true }).click();
}

export const interval = (page) => page.getByLabel("Reporting interval", { exact: true });

/** Takes a picture, without a message that happens to stand there. */
export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.locator("#message").evaluate((it) => { it.hidden = true; });
  await page.screenshot({ path: path.join(pictures, `${name}.png`) });
}
