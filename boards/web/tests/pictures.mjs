// The pictures of README and docs, taken as the page and the terminal are: `cargo xtask figures` keeps them in docs/pictures.
import { readFileSync } from "node:fs";
import { password, picture, plugIn, start, tab, test, world } from "./harness.mjs";

const PHONE = { viewport: { width: 390, height: 860 } };
const DESK = { viewport: { width: 1100, height: 760 } };
const DARK = { colorScheme: "dark" };

const shows = (page, from, to) => page.waitForFunction(
  ([least, most]) => { const value = parseFloat(document.querySelector("#readings dd").textContent); return value > least && value < most; },
  [from, to],
);

/** Plugs in a socket whose load has changed a few times, so that there is something to see. */
async function lived(page) {
  await start(page);
  await plugIn(page);
  await shows(page, 90, 110);
  await world(page);
  for (const [watts, from, to] of [["600", 580, 620], ["1500", 1460, 1540], ["900", 880, 920], ["2300", 2250, 2350]]) {
    await page.getByRole("slider", { name: /Load/ }).fill(watts);
    await shows(page, from, to);
  }
  await page.getByText("The simulated world").click();
}

const escaped = (text) => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);

export async function takePictures() {
  await test("picture: status on a phone", async (page) => {
    await lived(page);
    await picture(page, "page-status");
  }, PHONE);

  await test("picture: settings on a phone, some of them changed", async (page) => {
    await start(page);
    await plugIn(page);
    await tab(page, "Settings");
    await page.getByLabel("Reporting interval", { exact: true }).fill("600");
    await page.getByLabel("LED indicator", { exact: true }).uncheck();
    await page.mouse.wheel(0, 230);
    await page.getByText("2 changes").waitFor();
    await picture(page, "page-settings");
  }, PHONE);

  await test("picture: an upgrade on a phone in the dark", async (page) => {
    await start(page);
    await plugIn(page);
    await tab(page, "Maintenance");
    await page.getByRole("button", { name: "Make one to try" }).click();
    await page.getByRole("button", { name: "Upgrade", exact: true }).click();
    await password(page);
    await page.locator("#who-detail", { hasText: "software V0.2 " }).waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "page-upgrade-dark");
  }, { ...PHONE, ...DARK });

  await test("picture: status on a desk in the dark", async (page) => {
    await lived(page);
    await picture(page, "page-desk-dark");
  }, { ...DESK, ...DARK });

  const { SOCKEYE_TERMINAL: terminal } = process.env;
  if (!terminal) return;
  await test("picture: the terminal", async (page) => {
    // What the program said, as it said it: xtask called it just now.
    const calls = JSON.parse(readFileSync(terminal, "utf8"));
    const lines = calls.map(({ command, said }) => `<b>$ ${escaped(command)}</b>\n${escaped(said)}`).join("\n");
    await page.setContent(`<style>
      body { margin: 0; background: #1b1918; }
      pre { margin: 0; padding: 18px 22px; font: 14px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; color: #ddd6cf; white-space: pre-wrap; }
      b { color: #8fd3a8; font-weight: 600; }
    </style><p id="message" hidden></p><pre>${lines}</pre>`);
    await page.setViewportSize({ width: 900, height: 100 });
    const { height } = await page.locator("pre").boundingBox();
    await page.setViewportSize({ width: 900, height: Math.ceil(height) });
    await picture(page, "terminal");
  });
}
