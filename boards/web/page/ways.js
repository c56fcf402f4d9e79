// The ways to a socket. Each has `exchange(request)`, which resolves to the answer's bytes, as hex both; and says whether it can be
// asked all the time (`live`), or whether a person has to hold a phone to the socket.
import { ask, by, fromHex, toHex, wait } from "./core.js";
import * as keep from "./keep.js";

const TRIES = 3;
const PATIENCE_MS = 3000;
// What has to be stored may have to wait for the radio, piece by piece.
const LONG_PATIENCE_MS = 15000;

/** An error with a sentence for people; browsers have names for what went wrong, and sentences for programmers. */
const told = (kind, sentence) => Object.assign(new Error(sentence), { kind });
const inWords = (error, sentences) => (sentences[error.name] ? told(error.name, sentences[error.name]) : error);
const cancelled = () => told("cancelled", "Cancelled");

const NFC_SENTENCES = {
  NotAllowedError: "The browser may not use NFC: allow it for this page, and try again",
  NotSupportedError: "This device has no NFC, or it is switched off",
  NotReadableError: "NFC is switched off, or another program uses it",
};
const PORT_SENTENCES = {
  SecurityError: "The browser may not use serial ports on this page",
  InvalidStateError: "The port is open already: close it where it is in use",
  NetworkError: "The port cannot be opened: is another program using it?",
};

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
    const { id } = ask("sim_new", { model, region, last, flash });
    const simulated = new Simulated(id, name, { model, region, last });
    simulated.stimulate("load 100W");
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

  /** Taps, and once more where the socket wrote to its tag at the same moment and saw no request. */
  async exchange(request) {
    this.run();
    for (let tries = 1; ; tries += 1) {
      try {
        return ask("sim_exchange", { id: this.id, request }).answer;
      } catch (error) {
        if (error.kind !== "silent" || tries === TRIES) throw error;
      }
    }
  }

  /** Lets a minute pass at once. */
  skip() {
    ask("sim_run", { id: this.id, ms: 60_000 });
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
    try {
      const port = await navigator.serial.requestPort();
      await port.open({ baudRate: 115200 });
      return new Serial(port);
    } catch (error) {
      throw inWords(error, PORT_SENTENCES);
    }
  }

  constructor(port) {
    Object.assign(this, { port, live: true, label: "Serial port", heard: () => {}, closed: false });
    this.listening = this.listen();
  }

  static BROKEN = "The connection broke off: is the board still plugged in?";

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
    // The third byte is the kind; those that read are below 0x10 (docs/NFC.md).
    const reads = parseInt(request.slice(4, 6), 16) < 0x10;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const answer = new Promise((done) => {
        this.heard = (frame) => { if (ask("is_for_us", { answer: frame }).yes) done(frame); };
      });
      // A port that was pulled out has nothing to write to.
      if (!this.port.writable) throw told("lost", Serial.BROKEN);
      const writer = this.port.writable.getWriter();
      try {
        await writer.write(fromHex(bytes));
      } catch {
        throw told("lost", Serial.BROKEN);
      } finally {
        writer.releaseLock();
      }
      const heard = await Promise.race([answer, wait(reads ? PATIENCE_MS : LONG_PATIENCE_MS)]);
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
    try {
      await reader.scan({ signal: stop.signal });
    } catch (error) {
      throw inWords(error, NFC_SENTENCES);
    }
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

  /** Has a person hold the phone to the socket until the request is on its tag, and again for the answer. */
  async exchange(request) {
    const dialog = by("tap");
    const giveUp = new AbortController();
    const left = new Promise((_, fail) => giveUp.signal.addEventListener("abort", () => fail(cancelled())));
    left.catch(() => {});
    by("tap-cancel").onclick = dialog.oncancel = () => giveUp.abort();
    by("tap-text").textContent = "Keep it there until this goes away.";
    dialog.showModal();
    try {
      const answer = new Promise((done) => {
        this.answered = (bytes) => { if (ask("is_for_us", { answer: bytes }).yes) done(bytes); };
      });
      await Promise.race([this.write(request, giveUp.signal), left]);
      by("tap-text").textContent = "Written. Lift the phone and hold it to the socket again, for the answer.";
      return await Promise.race([answer, left]);
    } finally {
      this.answered = () => {};
      dialog.close();
    }
  }

  /** Writes until it is written: half a message harms nothing, and one that arrived twice is obeyed once. */
  async write(request, signal) {
    const records = [{ recordType: "sockeye:request", data: fromHex(request) }];
    for (;;) {
      try {
        return await this.reader.write({ records }, { signal });
      } catch (error) {
        if (signal.aborted || error.name !== "NetworkError") throw inWords(error, NFC_SENTENCES);
        by("tap-text").textContent = "That was too short. Hold the phone to the socket again, and keep it there.";
      }
    }
  }

  async close() {
    this.stop.abort();
  }
}
