// The page in headless Chromium, as a person uses it: node browser.mjs URL [PICTURES [PART OF A TEST'S NAME]]
import assert from "node:assert/strict";
import { axe, end, interval, message, password, plugIn, ready, start, tab, test, world } from "./harness.mjs";
import { takePictures } from "./pictures.mjs";
import { upgrades } from "./upgrade.mjs";
import { ways } from "./ways.mjs";

await test("the page is small and soon there", async (page, context) => {
  const client = await context.newCDPSession(page);
  await client.send("Network.enable");
  let bytes = 0;
  client.on("Network.loadingFinished", ({ encodedDataLength }) => { bytes += encodedDataLength; });
  await start(page);
  const ms = await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime);
  console.log(`measured: ${bytes} bytes on the wire, usable after ${Math.round(ms)} ms`);
  assert.ok(bytes > 50_000 && bytes < 500_000, `${bytes} bytes`);
});

await test("status and settings are read", async (page) => {
  await start(page);
  await plugIn(page);
  await page.locator("#readings", { hasText: "Voltage" }).waitFor();
  const voltage = await page.locator("#readings dd").nth(1).textContent();
  assert.match(voltage, /^2[23]\d\.\d V$/);
  await tab(page, "Settings");
  assert.equal(await interval(page).inputValue(), "1200");
  assert.equal(await page.getByLabel("Application key", { exact: true }).inputValue(), "", "no key is shown");
});

await test("the load shows, and an overload trips the socket", async (page) => {
  await start(page);
  await plugIn(page);
  const power = page.locator("#readings dd").first();
  const shows = (from, to) => page.waitForFunction(
    ([least, most]) => { const value = parseFloat(document.querySelector("#readings dd").textContent); return value > least && value < most; },
    [from, to],
  );
  await shows(90, 110);
  await world(page);
  const load = page.getByRole("slider", { name: /Load/ });
  for (const [watts, from, to] of [["600", 580, 620], ["1500", 1460, 1540], ["900", 880, 920], ["2300", 2250, 2350]]) {
    await load.fill(watts);
    await shows(from, to);
  }
  await page.locator("#relay-text", { hasText: "On" }).waitFor();
  // 4600 W are 20 A: above the rated current, below the hard limit.
  await load.fill("4600");
  await page.locator("#relay-text", { hasText: "Off" }).waitFor();
  await page.waitForFunction(() => document.querySelector("#readings dd").textContent === "0.0 W");
  assert.equal(await power.textContent(), "0.0 W");
  await load.fill("60");
  await page.getByRole("button", { name: "Press its button" }).click();
  await page.locator("#relay-text", { hasText: "On" }).waitFor();
});

await test("a setting is written with the right password, and is there after it", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Settings");
  await interval(page).fill("600");
  await page.getByLabel("LED indicator", { exact: true }).uncheck();
  await page.getByText("2 changes").waitFor();
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await password(page);
  await message(page, "Written: 2 settings");
  assert.equal(await interval(page).inputValue(), "600");
  assert.equal(await page.getByText("2 changes").isVisible(), false);
});

await test("a wrong password changes nothing and after five there is a wait", async (page) => {
  await start(page);
  await plugIn(page);
  const on = await page.locator("#relay-text").textContent();
  const button = page.getByRole("button", { name: on === "On" ? "Switch off" : "Switch on" });
  for (let time = 0; time < 5; time += 1) {
    await button.click();
    await password(page, "000000");
    await message(page, "Wrong password");
  }
  await button.click();
  await password(page);
  await message(page, "too many wrong passwords");
  assert.equal(await page.locator("#relay-text").textContent(), on);
});

await test("a value out of range is shown at its field and nothing is written", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Settings");
  await interval(page).fill("59");
  await page.getByLabel("LED indicator", { exact: true }).uncheck();
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await password(page);
  await page.getByText("59 is not within 60 to 64800").waitFor();
  assert.equal(await interval(page).getAttribute("aria-invalid"), "true");
  await page.getByRole("button", { name: "Discard" }).click();
  assert.equal(await page.getByLabel("LED indicator", { exact: true }).isChecked(), true);
});

await test("a template goes to a second socket, and one of another band is refused", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Settings");
  await interval(page).fill("900");
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await password(page);
  await message(page, "Written: 1 setting");
  await tab(page, "Templates");
  await page.getByLabel("Name").fill("Office");
  await page.getByRole("button", { name: "Save this socket's settings" }).click();
  await message(page, "Saved as");
  await page.getByText("The socket has it so already.").waitFor();

  await plugIn(page, { first: false });
  await page.getByRole("cell", { name: "general.reporting_interval_s" }).waitFor();
  // The password that was right for the first socket is tried on the second one.
  await page.getByRole("button", { name: "Write to this socket" }).click();
  await message(page, "Written: 1 setting");
  await tab(page, "Settings");
  assert.equal(await interval(page).inputValue(), "900");

  await plugIn(page, { region: "US915", first: false });
  await tab(page, "Templates");
  await page.getByText("region: the template is for EU868, the device is set to US915").waitFor();
  assert.ok(await page.getByRole("button", { name: "Write to this socket" }).isDisabled());
});

await test("templates outlive a reload", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Templates");
  await page.getByLabel("Name").fill("Kept");
  await page.getByRole("button", { name: "Save this socket's settings" }).click();
  await message(page, "Saved as");
  await page.reload();
  await ready(page);
  await tab(page, "Templates");
  await page.getByRole("button", { name: "Kept" }).waitFor();
});

await test("the password is changed", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Maintenance");
  await page.getByLabel("New password").fill("654321");
  await page.getByRole("button", { name: "Change" }).click();
  await password(page);
  await message(page, "The password is changed");
  await tab(page, "Status");
  await page.getByRole("button", { name: "Switch off" }).click();
  await message(page, "Switched off");
  await page.locator("#relay-text", { hasText: "Off" }).waitFor();
});

await test("the band is changed and brings its defaults", async (page) => {
  await start(page);
  await plugIn(page);
  await tab(page, "Settings");
  await page.locator("#settings").getByLabel("Frequency band", { exact: true }).selectOption("AU915");
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await password(page);
  await message(page, "Written");
  assert.equal(await page.getByLabel("RX2 frequency", { exact: true }).inputValue(), "923300000");
  await page.locator("#who-detail", { hasText: "AU915" }).waitFor();
});

await test("tabs are changed by the arrow keys", async (page) => {
  await start(page);
  await plugIn(page);
  await page.getByRole("tab", { name: "Status" }).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator(":focus").textContent(), "Settings");
  assert.ok(await page.getByRole("tabpanel", { name: "Settings" }).isVisible());
  await page.keyboard.press("End");
  assert.ok(await page.getByRole("tabpanel", { name: "Maintenance" }).isVisible());
});

await test("the page works without a network", async (page, context) => {
  await start(page);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await context.setOffline(true);
  await page.reload();
  await ready(page);
  await plugIn(page);
  await context.setOffline(false);
});

for (const colorScheme of ["light", "dark"]) {
  await test(`axe finds nothing serious, ${colorScheme}`, async (page) => {
    const check = async (where) => {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      const told = bad.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html }) => html).join(" ").slice(0, 300)}`);
      assert.deepEqual(told, []);
    };
    await start(page);
    await check("start");
    await plugIn(page);
    for (const name of ["Status", "Settings", "Templates", "Maintenance"]) {
      await tab(page, name);
      await check(name);
    }
    await page.getByRole("button", { name: "Disconnect" }).waitFor();
    await tab(page, "Status");
    await page.getByRole("button", { name: "Switch on" }).click();
    await check("password");
  }, { colorScheme });
}

await upgrades();
await ways();
await takePictures();
await end();
