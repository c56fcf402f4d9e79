// An upgrade: piece by piece, by what the socket says; after a reload it goes on where it was.
import { ask, by, toHex } from "./core.js";
import * as keep from "./keep.js";

const WORDS = {
  none: "No upgrade was tried.",
  receiving: "An upgrade was begun and is not complete. Choose its file, or go on, and it continues where it stopped.",
  ready: "The new image is complete; the socket restarts into it.",
  trying: "The new image runs, and is on trial for a minute.",
  confirmed: "The last upgrade went well.",
  gone_back: "The last upgrade did not work out: the socket went back to the version before.",
};

export class Upgrade {
  /** `tool` has `say`, `fail`, `act(makeRequest)`, `unlock()` and `refresh()`. */
  constructor(tool) {
    this.tool = tool;
    by("upgrade-file").addEventListener("change", () => this.choose());
    by("upgrade-start").addEventListener("click", () => this.run());
    by("upgrade-abort").addEventListener("click", () => this.abort());
    by("upgrade-example").addEventListener("click", () => this.example());
  }

  /** Makes an update that simulated sockets take: the version after the one that runs. */
  async example() {
    const [major, minor] = this.tool.version().split(".").map(Number);
    const next = String(major * 100 + minor + 1).padStart(4, "0");
    const { file: hex } = ask("sim_update", { version: next });
    const file = { name: `simulated-${Number(next.slice(0, 2))}.${Number(next.slice(2))}.update`, hex };
    this.open(file);
    await keep.put("update", file);
  }

  /** Takes up the file of before a reload. */
  async load() {
    const file = await keep.get("update");
    if (file) this.open(file);
  }

  open(file) {
    try {
      const { board, version, length } = ask("update_open", { file: file.hex });
      this.file = file;
      by("upgrade-start").disabled = false;
      by("upgrade-going").hidden = false;
      by("upgrade-text").textContent = `${file.name}: version ${version} for ${board}, ${length} bytes`;
    } catch (error) {
      this.file = undefined;
      by("upgrade-start").disabled = true;
      this.tool.fail(error);
    }
  }

  async choose() {
    const [chosen] = by("upgrade-file").files;
    if (!chosen) return;
    const file = { name: chosen.name, hex: toHex(new Uint8Array(await chosen.arrayBuffer())) };
    this.open(file);
    if (this.file) await keep.put("update", file);
  }

  /** Shows how it stands in the socket. */
  show({ state, refused, received, total }) {
    by("upgrade-state").textContent = refused ? `The last update was refused: ${refused}.` : WORDS[state];
    by("upgrade-abort").disabled = state !== "receiving" && !this.running;
    by("upgrade-start").textContent = state === "receiving" ? "Go on with the upgrade" : "Upgrade";
    if (state === "receiving" || this.running) this.progress(received, total);
  }

  progress(received, total) {
    if (!total) return;
    by("upgrade-going").hidden = false;
    by("upgrade-progress").value = received / total * 100;
    by("upgrade-progress").textContent = `${received} of ${total} bytes`;
    if (this.running) by("upgrade-text").textContent = `${received} of ${total} bytes`;
  }

  async run() {
    if (this.running || !(await this.tool.unlock())) return;
    this.running = true;
    this.stop = false;
    by("upgrade-start").disabled = true;
    by("upgrade-abort").disabled = false;
    try {
      // From the beginning of the file: the socket says where it goes on.
      ask("update_open", { file: this.file.hex });
      let upgrade;
      while (!this.stop) {
        const before = upgrade;
        const answer = await this.tool.act(() => ask("update_next", { upgrade: before }));
        if (answer.done) break;
        ({ upgrade } = answer);
        if (upgrade) this.progress(upgrade.received, upgrade.total);
      }
      if (!this.stop) {
        await keep.drop("update");
        by("upgrade-text").textContent = "All is there. The socket restarts into the new version and watches itself for a minute.";
        this.tool.say("The upgrade is complete");
      }
    } catch (error) {
      this.tool.fail(error);
    } finally {
      this.running = false;
      by("upgrade-start").disabled = false;
      await this.tool.refresh();
    }
  }

  async abort() {
    this.stop = true;
    if (!(await this.tool.unlock())) return;
    try {
      await this.tool.act(() => ask("update_abort"));
      await keep.drop("update");
      this.tool.say("The upgrade is given up");
    } catch (error) {
      this.tool.fail(error);
    }
    await this.tool.refresh();
  }
}
