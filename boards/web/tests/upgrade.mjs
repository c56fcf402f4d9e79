// Upgrades of the simulated socket: the firmware itself takes them, and embassy-boot's code swaps them in.
import assert from "node:assert/strict";
import { message, password, plugIn, ready, start, tab, test, world } from "./harness.mjs";

/** Makes a signed update of so many bytes' image, as `sockeye-toolbox sim-update` does, changed by `change`. */
async function update(page, version, change = () => {}) {
  const hex = await page.evaluate(async (wanted) => (await import("./core.js")).ask("sim_update", { version: wanted }).file, version);
  const buffer = Buffer.from(hex, "hex");
  change(buffer);
  return { name: `test-${version}.update`, mimeType: "application/octet-stream", buffer };
}

const shows = (page, version) => page.locator("#who-detail", { hasText: `software V${version} ` }).waitFor();
const state = (page, text) => page.locator("#upgrade-state", { hasText: text }).waitFor();
const progress = (page) => page.locator("#upgrade-progress").evaluate((it) => it.value);

/** Types the password, and has something done when half of the image has come: an upgrade takes a second here. */
async function halfWay(page, what) {
  await page.evaluate(what);
  await page.evaluate(() => {
    const bar = document.getElementById("upgrade-progress");
    const observer = new MutationObserver(() => {
      if (bar.value < 50) return;
      observer.disconnect();
      document.dispatchEvent(new Event("half-way"));
    });
    observer.observe(bar, { attributes: true });
  });
  await password(page);
}

async function aMinute(page) {
  await world(page);
  await page.getByRole("button", { name: "A minute passes" }).click();
}

export async function upgrades() {
  await test("an upgrade goes on after a reload in its middle, runs and is confirmed", async (page) => {
    await start(page);
    await plugIn(page);
    await shows(page, "0.1");
    await tab(page, "Maintenance");
    await page.getByLabel("Signed update").setInputFiles(await update(page, "0020"));
    await page.getByText("test-0020.update: version 0.20 for host, 100000 bytes").waitFor();
    await page.getByRole("button", { name: "Upgrade", exact: true }).click();
    const reloaded = page.waitForEvent("load");
    await halfWay(page, () => document.addEventListener("half-way", () => {
      location.reload();
      // It takes its time, in which no more is to be written: the page waits for each piece to be kept.
      IDBObjectStore.prototype.put = () => ({});
    }));
    await reloaded;
    await ready(page);
    await tab(page, "Maintenance");
    await page.getByRole("button", { name: "Go on with the upgrade" }).waitFor();
    // A reload is a power cut to the socket: at most two pages come twice (docs/UPGRADE.md).
    const before = await progress(page);
    assert.ok(before > 40 && before < 100, `${before} %`);
    await shows(page, "0.1");
    await page.getByRole("button", { name: "Go on with the upgrade" }).click();
    await password(page);
    await page.waitForFunction((from) => document.getElementById("upgrade-progress").value >= from, before);
    await message(page, "The upgrade is complete");
    await shows(page, "0.20");
    await state(page, "on trial");
    await aMinute(page);
    await state(page, "The last upgrade went well");
    await page.reload();
    await ready(page);
    await shows(page, "0.20");
  });

  await test("a power cut in the trial brings the old version back", async (page) => {
    await start(page);
    await plugIn(page);
    await tab(page, "Maintenance");
    await page.getByRole("button", { name: "Make one to try" }).click();
    await page.getByText("simulated-0.2.update: version 0.2 for host").waitFor();
    await page.getByRole("button", { name: "Upgrade", exact: true }).click();
    await password(page);
    await shows(page, "0.2");
    await page.reload();
    await ready(page);
    await shows(page, "0.1");
    await tab(page, "Maintenance");
    await state(page, "the socket went back to the version before");
  });

  await test("what is no newer update of the maker for this socket is refused with its reason", async (page) => {
    await start(page);
    await plugIn(page);
    await tab(page, "Maintenance");
    const upgrade = page.getByRole("button", { name: "Upgrade", exact: true });
    let first = true;
    // Where they stand in the file: docs/UPGRADE.md.
    for (const [version, change, reason] of [
      ["0020", (bytes) => { bytes.write("lora-e5\0", 8); }, "the image is for another board"],
      ["0001", () => {}, "the device runs this version already"],
      ["0000", () => {}, "the image is older than the one that runs"],
      ["0020", (bytes) => { bytes[7] = 0x30; }, "the update is not signed with the key that the device trusts"],
      ["0020", (bytes) => { bytes[100] ^= 1; }, "the update is not signed with the key that the device trusts"],
      ["0020", (bytes) => { bytes[bytes.length - 1] ^= 1; }, "the image arrived damaged: begin again"],
    ]) {
      await page.getByLabel("Signed update").setInputFiles(await update(page, version, change));
      await page.waitForFunction(() => !document.getElementById("upgrade-start").disabled);
      await upgrade.click();
      if (first) await password(page);
      first = false;
      await message(page, reason.slice(1), { bad: true });
      await state(page, `The last update was refused: ${reason}`);
    }
    await page.getByLabel("Signed update").setInputFiles({ name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.alloc(500, 7) });
    await message(page, "The file is no update for a socket");
    assert.ok(await upgrade.isDisabled());
    await shows(page, "0.1");
  });

  await test("an upgrade that is given up is gone", async (page) => {
    await start(page);
    await plugIn(page);
    await tab(page, "Maintenance");
    await page.getByRole("button", { name: "Make one to try" }).click();
    await page.getByRole("button", { name: "Upgrade", exact: true }).click();
    await halfWay(page, () => document.addEventListener("half-way", () => document.getElementById("upgrade-abort").click()));
    await message(page, "The upgrade is given up");
    await state(page, "No upgrade was tried");
    await page.getByRole("button", { name: "Upgrade", exact: true }).waitFor();
  });
}
