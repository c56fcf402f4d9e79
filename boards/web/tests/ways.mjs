// The ways to a socket that need hardware, against mocks of it (mocks.mjs): a phone's NFC, and a serial port.
import assert from "node:assert/strict";
import { interval, message, password, start, tab, test } from "./harness.mjs";
import { mock } from "./mocks.mjs";

const tap = (page, how) => page.evaluate((more) => globalThis.nfc.tap(more), how);
const says = (page, text) => page.locator("#tap-text", { hasText: text }).waitFor();
const named = (page) => page.locator("#who-detail", { hasText: /EU · EU868/ }).waitFor();

async function byNfc(page) {
  await mock(page);
  await start(page);
  await page.getByRole("button", { name: /Tap by NFC/ }).click();
  await message(page, "Hold the phone to the socket");
  await tap(page);
  await named(page);
}

async function bySerial(page) {
  await mock(page);
  await start(page);
  await page.getByRole("button", { name: /Serial port/ }).click();
  await named(page);
}

/** Changes the reporting interval, up to where it goes to the socket. */
async function change(page, seconds, text) {
  await tab(page, "Settings");
  await interval(page).fill(seconds);
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await password(page, text);
}

async function nfc() {
  await test("NFC (mock): a tap reads, a write and a second tap set the socket up", async (page) => {
    await byNfc(page);
    await page.locator("#readings", { hasText: "Voltage" }).waitFor();
    await change(page, "600");
    await says(page, "Keep it there");
    await tap(page);
    await says(page, "Written. Lift the phone");
    await tap(page);
    await message(page, "Written: 1 setting");
    assert.equal(await interval(page).inputValue(), "600");
    assert.equal(await page.getByText("1 change").isVisible(), false);
  });

  await test("NFC (mock): a wrong password changes nothing", async (page) => {
    await byNfc(page);
    await change(page, "600", "000000");
    // A tap before the page has its request ready would be one too few.
    await says(page, "Keep it there");
    await tap(page);
    await says(page, "Written. Lift the phone");
    await tap(page);
    await message(page, "Wrong password; nothing was changed");
    await page.getByRole("button", { name: "Discard" }).click();
    assert.equal(await interval(page).inputValue(), "1200");
  });

  await test("NFC (mock): a phone that is taken away while it writes harms nothing, and the next tap works", async (page) => {
    await byNfc(page);
    await change(page, "600");
    for (const leavesAfter of [0, 3, 20, 45]) {
      await says(page, /Keep it there|That was too short/);
      await tap(page, { leavesAfter });
      await says(page, "That was too short. Hold the phone to the socket again");
      await page.evaluate(async () => { (await globalThis.device()).call("sim_run", { ms: 3000 }); });
    }
    await tap(page);
    await says(page, "Written. Lift the phone");
    await tap(page);
    await message(page, "Written: 1 setting");
  });

  await test("NFC (mock): a tap before the write keeps what was typed, and a write can be given up", async (page) => {
    await byNfc(page);
    await tab(page, "Settings");
    await interval(page).fill("600");
    await tap(page);
    assert.equal(await interval(page).inputValue(), "600");
    await page.getByRole("button", { name: "Write", exact: true }).click();
    await password(page);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("1 change").waitFor();
    await tap(page);
    await tap(page);
    await page.getByRole("button", { name: "Discard" }).click();
    assert.equal(await interval(page).inputValue(), "1200", "nothing was written");
  });

  await test("NFC (mock): a browser without leave says what to do", async (page) => {
    await mock(page);
    await start(page);
    await page.evaluate(() => { globalThis.nfc.denied = true; });
    await page.getByRole("button", { name: /Tap by NFC/ }).click();
    await message(page, "The browser may not use NFC: allow it for this page");
    assert.ok(await page.getByRole("button", { name: /Tap by NFC/ }).isVisible());
  });

  await test("NFC (mock): an upgrade by taps", async (page) => {
    await byNfc(page);
    const update = await page.evaluate(async () => (await import("./core.js")).ask("sim_update", { version: "0002" }).file);
    await tab(page, "Maintenance");
    const file = { name: "new.update", mimeType: "application/octet-stream", buffer: Buffer.from(update, "hex") };
    await page.getByLabel("Signed update").setInputFiles(file);
    await page.getByRole("button", { name: "Upgrade", exact: true }).click();
    await password(page);
    await says(page, "Keep it there");
    const taps = await page.evaluate(async () => {
      const { nfc } = globalThis;
      const before = nfc.taps;
      while (nfc.taps < before + 1000 && !document.getElementById("upgrade-text").textContent.startsWith("All is there")) {
        await nfc.tap();
        await new Promise((done) => { setTimeout(done, 5); });
      }
      return nfc.taps - before;
    });
    console.log(`measured: ${taps} times held there for an update of ${file.buffer.length} bytes`);
    await page.getByText("All is there").waitFor();
    await page.evaluate(async () => { (await globalThis.device()).call("sim_run", { ms: 30_000 }); });
    await tap(page);
    await page.locator("#who-detail", { hasText: "software V0.2 " }).waitFor();
  });
}

async function serial() {
  await test("serial port (mock): read, write and a wrong password on a line with a log and noise", async (page) => {
    await mock(page);
    await start(page);
    await page.evaluate(() => { globalThis.line.noisy = true; });
    await page.getByRole("button", { name: /Serial port/ }).click();
    await named(page);
    await change(page, "600", "000000");
    await message(page, "Wrong password; nothing was changed");
    await page.getByRole("button", { name: "Write", exact: true }).click();
    await password(page);
    await message(page, "Written: 1 setting");
    assert.equal(await interval(page).inputValue(), "600");
  });

  await test("serial port (mock): what is lost or spoilt on the way is asked again and done once", async (page) => {
    await bySerial(page);
    for (const [lose, arrived] of [[["request"], 1], [["answer"], 2], [["spoilt", "request"], 2]]) {
      await page.evaluate((what) => Object.assign(globalThis.line, { lose: what, requests: 0 }), lose);
      const on = (await page.locator("#relay-text").textContent()) === "On";
      await page.getByRole("button", { name: on ? "Switch off" : "Switch on" }).click();
      if (lose[0] === "request") await password(page);
      await message(page, on ? "Switched off" : "Switched on");
      await page.locator("#relay-text", { hasText: on ? "Off" : "On" }).waitFor();
      assert.equal(await page.evaluate(() => globalThis.line.requests), arrived, String(lose));
    }
  });

  await test("serial port (mock): a board that is pulled out is told, and one that says nothing too", async (page) => {
    await bySerial(page);
    await page.evaluate(() => globalThis.line.pull());
    await message(page, "The connection broke off: is the board still plugged in?");
    // The page is where one connects again.
    await page.getByRole("button", { name: /Serial port/ }).waitFor();
    await page.evaluate(() => { globalThis.line.deaf = true; });
    await page.getByRole("button", { name: /Serial port/ }).click();
    await message(page, "No socket answers");
    await page.evaluate(() => { globalThis.line.deaf = false; });
    await page.getByRole("button", { name: /Serial port/ }).click();
    await named(page);
  });

  await test("serial port (mock): a port in use is told, and a chooser that was closed is no fault", async (page) => {
    await mock(page);
    await start(page);
    const button = page.getByRole("button", { name: /Serial port/ });
    await page.evaluate(() => { globalThis.line.chosen = false; });
    await button.click();
    await page.evaluate(() => Object.assign(globalThis.line, { chosen: true, inUse: true }));
    assert.ok(await page.locator("#message").isHidden());
    await button.click();
    await message(page, "The port cannot be opened: is another program using it?");
    await page.evaluate(() => { globalThis.line.inUse = false; });
    await button.click();
    await named(page);
  });
}

export async function ways() {
  await nfc();
  await serial();
}
