// The page: connecting, the tabs, and what they have in common.
import { ask, by, load } from "./core.js";
import { SettingsForm, describe, make, openDialog } from "./forms.js";
import * as keep from "./keep.js";
import { Plot } from "./plot.js";
import { Templates } from "./templates.js";
import { Upgrade } from "./upgrade.js";
import { Nfc, Serial, Simulated } from "./ways.js";

const LIVE_MS = 1000;
const SAY_MS = 6000;

let way;
let status;
let settings;
let unlocked = false;
let busy = Promise.resolve();
let saying;
const plot = new Plot(by("plot"));
const sockets = [];

// ---- What is said ----

function say(text, bad = false) {
  const message = by("message");
  clearTimeout(saying);
  message.hidden = false;
  message.classList.toggle("bad", bad);
  message.textContent = text;
  saying = setTimeout(() => { message.hidden = true; }, SAY_MS);
}

function fail(error) {
  if (error.kind === "cancelled" || error.name === "AbortError") return;
  if (error.kind === "wrong_password" || error.kind === "wait") unlocked = false;
  if (error.kind === "lost" && way) disconnect();
  const text = error.message;
  say(text.charAt(0).toUpperCase() + text.slice(1), true);
}

// ---- Talking to the socket: one thing after the other ----

function alone(what) {
  const result = busy.then(what);
  busy = result.catch(() => {});
  return result;
}

async function readStatus() {
  const { request } = ask("ask_status");
  ({ status } = ask("take_status", { answer: await way.exchange(request) }));
}

async function readSettings() {
  const { request } = ask("ask_settings");
  ({ settings } = ask("take_settings", { answer: await way.exchange(request) }));
}

/** Has something done that needs the password. What the question gives beside a request comes back too. */
function act(question) {
  return alone(async () => {
    if (way.live) await readStatus();
    const asked = question();
    if (asked.request === undefined) return asked;
    const answer = await way.exchange(asked.request);
    await way.kept?.();
    try {
      const taken = ask("take", { answer });
      unlocked = true;
      return { ...asked, ...taken };
    } catch (error) {
      if (error.stale) {
        // The answer to it was lost, and it was asked again? Then the socket has counted it.
        if (way.live) await readStatus();
        const { yes, upgrade } = ask("obeyed");
        if (yes) return { ...asked, upgrade };
      }
      // Refused for what it is, and not for its password.
      unlocked ||= ["setting", "upgrade", "other_model", "other_region"].includes(error.kind);
      throw error;
    }
  });
}

/** Asks for the password, unless it is known to be right. */
async function unlock() {
  if (unlocked) return true;
  by("ask-password-text").value = "";
  while ((await openDialog("ask-password")) === "ok") {
    try {
      ask("password", { password: by("ask-password-text").value });
      return true;
    } catch (error) {
      by("ask-password-why").textContent = error.message;
    }
  }
  return false;
}

/** Does something that needs the password, and tells what came of it; false if it was refused. */
async function guarded(question, done) {
  if (!(await unlock())) return false;
  try {
    const answer = await act(question);
    if (done) say(done);
    return answer;
  } catch (error) {
    if (!(error.field && form.blame(error.field, error.message))) fail(error);
    else say("Nothing was written: see the marked setting", true);
    return false;
  } finally {
    if (way.live) await refresh();
  }
}

async function write(question) {
  form.forgive();
  const answer = await guarded(question);
  if (!answer) return undefined;
  const count = answer.fields.length;
  say(count ? `Written: ${count} ${count === 1 ? "setting" : "settings"}` : "The socket has it so already");
  if (way.live) await alone(readSettings);
  showSettings();
  return answer.fields;
}

/** What of the status hangs on what is stored. */
const lasting = () => status && JSON.stringify([status.relay_on, status.joined, status.energy_wh, status.upgrade]);

async function refresh() {
  if (!way?.live) return;
  try {
    const before = lasting();
    await alone(readStatus);
    // What a simulated socket has stored by itself is kept as well.
    if (lasting() !== before) await way?.kept?.();
    showStatus();
  } catch (error) {
    fail(error);
  }
}

// ---- Showing it ----

const FAULTS = {
  commands: "commands not obeyed", meter: "times the meter was silent", readings: "impossible readings", stores: "late stores",
};

const thousandths = (value, digits) => (value / 1000).toFixed(digits);

function reading(value, unit) {
  const fragment = document.createDocumentFragment();
  fragment.append(value, " ", make("small", {}, unit));
  return fragment;
}

function showStatus() {
  by("who-name").textContent = `Socket ${status.sn}`;
  by("who-detail").textContent = `${status.model} · ${status.region} · software V${status.software_version} · ${way.label}`;
  by("lamp").classList.toggle("on", status.relay_on);
  by("relay-text").textContent = status.relay_on ? "On" : "Off";
  by("relay-on").classList.toggle("primary", !status.relay_on);
  by("relay-off").classList.toggle("primary", status.relay_on);
  const measured = (text) => (status.measured ? text : "–");
  describe(by("readings"), [
    ["Power", reading(measured(thousandths(status.power_mw, 1)), "W")],
    ["Voltage", reading(measured(thousandths(status.voltage_mv, 1)), "V")],
    ["Current", reading(measured(thousandths(status.current_ma, 3)), "A")],
    ["Power factor", reading(measured((status.power_factor_permille / 10).toFixed(0)), "%")],
    ["Energy", reading(thousandths(status.energy_wh, 3), "kWh")],
  ], true);
  if (status.measured) plot.add(status.power_mw / 1000);
  const faults = Object.entries(status.faults).filter(([, count]) => count > 0).map(([name, count]) => `${count} ${FAULTS[name] ?? name}`);
  describe(by("facts"), [
    ["Serial number", status.sn],
    ["Device EUI", status.dev_eui],
    ["Model", status.model],
    ["Frequency band", status.region],
    ["Hardware", `V${status.hardware_version}`],
    ["Software", `V${status.software_version}`],
    ["Network", status.joined ? "joined" : "not joined"],
    ["Running for", `${status.uptime_s} s, started by: ${status.reset_cause}`],
    ["Faults since then", faults.length ? faults.join(", ") : "none"],
    ...(status.wait_s ? [["Password", `wrong ones were tried: wait ${status.wait_s} s`]] : []),
  ]);
  upgrade.show(status.upgrade);
}

function showSettings() {
  const { fields } = ask("fields", { region: settings.region, model: settings.model });
  form.show(fields, settings);
  templates.compare();
}

const form = new SettingsForm(by("settings"), (count) => {
  by("change-bar").hidden = count === 0;
  by("change-count").textContent = count === 1 ? "1 change" : `${count} changes`;
});
const tool = { say, fail, act, unlock, refresh, write, connected: () => settings !== undefined, version: () => status.software_version };
const templates = new Templates(tool);
const upgrade = new Upgrade(tool);

// ---- Connecting ----

async function connected(opened) {
  way = opened;
  plot.clear();
  if (way.live) {
    await alone(async () => { await readStatus(); await readSettings(); });
    showAll();
  }
}

function showAll() {
  by("connect").hidden = true;
  by("device").hidden = false;
  by("simulator").hidden = by("upgrade-example").hidden = !(way instanceof Simulated);
  showStatus();
  showSettings();
}

/** A tag was read. */
function seen(found) {
  try {
    const before = JSON.stringify([status?.sn, settings]);
    ({ status } = ask("see_status", { bytes: found.status }));
    if (found.settings) ({ settings } = ask("see_settings", { bytes: found.settings }));
    if (!settings) return;
    // What was typed and is not written yet stays, unless the socket is another one or has changed.
    if (JSON.stringify([status.sn, settings]) === before) showStatus();
    else showAll();
  } catch (error) {
    fail(error);
  }
}

async function open(what) {
  try {
    await connected(await what());
  } catch (error) {
    way = undefined;
    if (error.name !== "NotFoundError") fail(error);
  }
}

async function disconnect() {
  await way?.close();
  way = status = settings = undefined;
  unlocked = false;
  await keep.drop("simulated");
  by("connect").hidden = false;
  by("device").hidden = true;
  by("way-simulated").focus();
}

async function plugIn(about) {
  const opened = await Simulated.open(about);
  sockets.push(opened);
  await keep.put("simulated", sockets.map((one) => one.about));
  const names = sockets.map(({ about: { model, region } }, at) => make("option", { value: at }, `${at + 1}: ${model}, ${region}`));
  by("sim-which").replaceChildren(...names);
  by("sim-which").value = sockets.length - 1;
  return opened;
}

async function newSimulated() {
  if ((await openDialog("sim-new")) !== "ok") throw Object.assign(new Error("Cancelled"), { kind: "cancelled" });
  const region = by("sim-region").value;
  return plugIn({ model: by("sim-model").value, region, last: sockets.length });
}

/** Brings back the simulated sockets of before a reload. */
async function restore() {
  for (const about of (await keep.get("simulated")) ?? []) await plugIn(about);
  if (sockets.length) await connected(sockets.at(-1));
}

function stimulate(line) {
  try {
    way.stimulate(line);
  } catch (error) {
    fail(error);
  }
}

// ---- The controls ----

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const one of all) {
      const chosen = one === tab;
      one.setAttribute("aria-selected", String(chosen));
      one.tabIndex = chosen ? 0 : -1;
      by(one.getAttribute("aria-controls")).hidden = !chosen;
    }
    by("change-bar").style.display = tab.id === "tab-settings" ? "" : "none";
    if (tab.id === "tab-templates") templates.compare();
  };
  for (const [at, tab] of all.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = all[(to + all.length) % all.length];
      next.focus();
      choose(next);
    });
  }
}

async function confirmed(title, text, yes) {
  by("confirm-title").textContent = title;
  by("confirm-text").textContent = text;
  by("confirm-yes").textContent = yes;
  return (await openDialog("confirm")) === "ok";
}

function wire() {
  const on = (id, what) => by(id).addEventListener("click", what);
  const command = (name, done) => () => guarded(() => ask("command", { command: name }), done);
  on("way-nfc", () => open(async () => {
    const opened = await Nfc.open(seen);
    say("Hold the phone to the socket");
    return opened;
  }));
  on("way-serial", () => open(Serial.open));
  on("way-simulated", () => open(newSimulated));
  on("sim-add", () => open(newSimulated));
  on("disconnect", disconnect);
  by("sim-which").addEventListener("change", () => open(async () => sockets[by("sim-which").value]));
  by("sim-load").addEventListener("input", () => {
    by("sim-load-text").textContent = `${by("sim-load").value} W`;
    stimulate(`load ${by("sim-load").value}W`);
  });
  on("sim-press", () => stimulate("press"));
  on("sim-skip", () => { way.skip(); refresh(); });
  on("sim-mains", () => {
    const off = by("sim-mains").getAttribute("aria-pressed") !== "true";
    by("sim-mains").setAttribute("aria-pressed", String(off));
    by("sim-mains").textContent = off ? "Plug it in again" : "Pull the plug";
    stimulate(off ? "power off" : "power on");
  });
  on("relay-on", command("on", "Switched on"));
  on("relay-off", command("off", "Switched off"));
  on("report", command("report", "A report is on its way"));
  on("reboot", command("reboot", "The socket restarts"));
  on("reset-energy", command("reset_energy", "The energy sum is 0"));
  on("refresh", refresh);
  on("reset", async () => {
    const text = "Settings, password and energy sum go back to what they were at the factory. The socket restarts.";
    if (!(await confirmed("Factory reset?", text, "Reset"))) return;
    if (await guarded(() => ask("command", { command: "reset" }), "The socket is as it left the factory; its password is 123456 again")) {
      unlocked = false;
      if (way.live) { await alone(readSettings); showSettings(); }
    }
  });
  by("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    const values = form.changes();
    write(() => ask("write", { values }));
  });
  on("discard", () => { form.fill(settings); form.forgive(); });
  by("password-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = by("password-new").value;
    if (await guarded(() => ask("write", { values: { "general.password": text } }), "The password is changed")) {
      ask("password", { password: text });
      by("password-new").value = "";
    }
  });
  on("theme", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
  addEventListener("pagehide", () => { if (way instanceof Simulated) way.kept(); });
}

async function start() {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  wire();
  tabs();
  by("way-nfc").disabled = !Nfc.possible();
  by("way-serial").disabled = !Serial.possible();
  const lacking = [[Nfc.possible(), "NFC: Chrome on Android has it"], [Serial.possible(), "serial ports: Chrome and Edge on a computer have them"]];
  by("way-note").textContent = lacking.filter(([possible]) => !possible).map(([, text]) => `This browser has no ${text}.`).join(" ");
  await load();
  const { fields } = ask("fields", { region: "EU868", model: "EU" });
  by("sim-region").replaceChildren(...fields.find(({ key }) => key === "region").choices.map((name) => make("option", {}, name)));
  await templates.load();
  await upgrade.load();
  await restore().catch(fail);
  setInterval(() => { if (!document.hidden && status) refresh(); }, LIVE_MS);
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {});
}

start().catch(fail);
