// The ways to a socket. Each has `exchange(request)`, which resolves to the answer's bytes, as hex both; and says whether it can be
// asked all the time (`live`), or whether a person has to hold a phone to the socket.
import { ask, by, fromHex, toHex, wait } from "./core.js";
import * as keep from "./keep.js";

const TRIES = 3;
const PATIENCE_MS = 3000;

export class Silent extends Error {
  constructor() {
    super("No socket answers. Is it switched on?");
    this.kind = "silent";
  }
}

/** A socket that runs in this page. */
export class Simulated {
  static async open({ model, region, last }) {
    const name = `sim-${model}-${region}-${last}`;
    const flash = await keep.get(name);
    // For the test of upgrades: a stand-in that takes any.
    const standIn = location.hash === "#stand-in";
    const { id } = ask("sim_new", { model, region, last, flash, stand_in: standIn });
    const simulated = new Simulated(id, name, { model, region, last });
    if (!standIn) simulated.stimulate("load 100W");
    return simulated;
  }

  constructor(id, name, about) {
    Object.assign(this, { id, name, about, live: true, label: "Simulated socket" });
    this.before = performance.now();
  }

  /** Lets the socket live as long as has passed here. */
  run() {
    const now = performance.now();
    const ms = Math.min(Math.round(now - this.before), 5000);
    this.before = now;
    return ask("sim_run", { id: this.id, ms });
  }

  async exchange(request) {
    this.run();
    return ask("sim_exchange", { id: this.id, request }).answer;
  }

  /** Keeps the socket's flash, so that it is the same socket after a reload. */
  async kept() {
    await keep.put(this.name, ask("sim_save", { id: this.id }).flash);
  }

  stimulate(line) {
    this.run();
    ask("sim_do", { id: this.id, line });
  }

  async close() {}
}

/** A board at a serial port. */
export class Serial {
  static possible = () => "serial" in navigator;

  static async open() {
    const port = await navigator.serial.requestPort();
    await port.open({ baudRate: 115200 });
    return new Serial(port);
  }

  constructor(port) {
    Object.assign(this, { port, live: true, label: "Serial port", heard: () => {}, closed: false });
    this.listening = this.listen();
  }

  async listen() {
    while (this.port.readable && !this.closed) {
      this.reader = this.port.readable.getReader();
      try {
        for (;;) {
          const { value, done } = await this.reader.read();
          if (done) break;
          for (const frame of ask("deframe", { bytes: toHex(value) }).frames) this.heard(frame);
        }
      } catch {
        // A break on the line: the next reader goes on.
      } finally {
        this.reader.releaseLock();
      }
    }
  }

  async exchange(request) {
    const { bytes } = ask("frame", { bytes: request });
    for (let tries = 0; tries < TRIES; tries += 1) {
      const answer = new Promise((done) => {
        this.heard = (frame) => { if (ask("is_for_us", { answer: frame }).yes) done(frame); };
      });
      const writer = this.port.writable.getWriter();
      try {
        await writer.write(fromHex(bytes));
      } finally {
        writer.releaseLock();
      }
      const heard = await Promise.race([answer, wait(PATIENCE_MS)]);
      if (heard !== undefined) return heard;
    }
    throw new Silent();
  }

  async close() {
    this.closed = true;
    await this.reader?.cancel().catch(() => {});
    await this.listening;
    await this.port.close().catch(() => {});
  }
}

/** A socket's tag: a phone reads and writes whole messages (docs/NFC.md). */
export class Nfc {
  static possible = () => "NDEFReader" in window;

  static async open(seen) {
    const reader = new NDEFReader();
    const stop = new AbortController();
    await reader.scan({ signal: stop.signal });
    return new Nfc(reader, stop, seen);
  }

  constructor(reader, stop, seen) {
    Object.assign(this, { reader, stop, live: false, label: "NFC", answered: () => {} });
    reader.addEventListener("reading", ({ message }) => {
      const found = {};
      for (const { recordType, data } of message.records) {
        if (data && recordType.startsWith("sockeye:")) {
          found[recordType.slice(8)] = toHex(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        }
      }
      if (found.answer) this.answered(found.answer);
      if (found.status) seen(found);
    });
  }

  async exchange(request) {
    const dialog = by("tap");
    const giveUp = new AbortController();
    const cancelled = new Promise((_, fail) => {
      giveUp.signal.addEventListener("abort", () => fail(Object.assign(new Error("Cancelled"), { kind: "cancelled" })));
    });
    by("tap-cancel").onclick = () => giveUp.abort();
    by("tap-text").textContent = "Keep it there until this goes away.";
    dialog.showModal();
    try {
      const answer = new Promise((done) => {
        this.answered = (bytes) => { if (ask("is_for_us", { answer: bytes }).yes) done(bytes); };
      });
      const records = [{ recordType: "sockeye:request", data: fromHex(request) }];
      await Promise.race([this.reader.write({ records }, { signal: giveUp.signal }), cancelled]);
      by("tap-text").textContent = "Written. Lift the phone and hold it to the socket again, for the answer.";
      return await Promise.race([answer, cancelled]);
    } finally {
      this.answered = () => {};
      dialog.close();
    }
  }

  async close() {
    this.stop.abort();
  }
}
