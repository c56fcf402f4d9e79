// Mocks of what a test has no hardware for: a phone's NFC (Web NFC) and a serial port (Web Serial), as far as the page uses them. Behind
// both is a real simulated socket, in a second program of its own: what a mock shows is how the page and the socket deal with each other,
// and not how Chrome or a phone behave.

/** Gives the page a second program with a socket in it, as `globalThis.device()`. */
function device() {
  let made;
  globalThis.device = () => made ??= (async () => {
    const program = await import("./core.js?device");
    await program.load();
    const { id } = program.ask("sim_new", { model: "EU", region: "EU868", last: 7 });
    const call = (what, more = {}) => program.ask(what, { id, ...more });
    call("sim_do", { line: "load 100W" });
    call("sim_run", { ms: 5000 });
    return { call, toHex: program.toHex, fromHex: program.fromHex };
  })();
}

/** A browser with NFC. `nfc.tap()` holds the phone to the tag: what is there is read, and then what is to be written is written. */
function nfc() {
  const wanted = { reader: undefined, write: undefined };
  globalThis.nfc = {
    denied: false,
    taps: 0,
    async tap({ leavesAfter } = {}) {
      const { call, toHex, fromHex } = await globalThis.device();
      globalThis.nfc.taps += 1;
      const { records } = call("sim_read_tag");
      const data = (bytes) => new DataView(fromHex(bytes).buffer);
      const event = new Event("reading");
      event.message = { records: Object.entries(records).map(([name, bytes]) => ({ recordType: `sockeye:${name}`, data: data(bytes) })) };
      wanted.reader?.dispatchEvent(event);
      const { write } = wanted;
      if (write) {
        wanted.write = undefined;
        const { written } = call("sim_write_tag", { request: toHex(write.bytes), leaves_after: leavesAfter });
        if (written) write.done();
        else write.fail(new DOMException("Failed to write due to an IO error.", "NetworkError"));
      }
      // The phone is lifted, and the socket reads, acts and shows what came of it.
      call("sim_run", { ms: 5000 });
    },
  };
  globalThis.NDEFReader = class extends EventTarget {
    async scan() {
      if (globalThis.nfc.denied) throw new DOMException("NFC permission request denied.", "NotAllowedError");
      wanted.reader = this;
    }

    write({ records: [{ recordType, data }] }, { signal }) {
      if (recordType !== "sockeye:request") throw new TypeError(recordType);
      return new Promise((done, fail) => {
        wanted.write = { bytes: new Uint8Array(data), done, fail };
        signal.addEventListener("abort", () => {
          wanted.write = undefined;
          fail(new DOMException("Aborted", "AbortError"));
        });
      });
    }
  };
}

/** A browser with a serial port, and a board at it that prints a log. `line` says what is wrong with the line; `lose` what goes
 * wrong with the next requests, and `lost` how often the page waits in vain for now. */
function serial() {
  const END = 0xc0, ESC = 0xdb, ESC_END = 0xdc, ESC_ESC = 0xdd;
  // CRC-16/X-25, written from docs/NFC.md and not from the program.
  const crc = (bytes) => {
    let sum = 0xffff;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >> 1) ^ 0x8408 : sum >> 1;
    }
    return [~sum & 0xff, (~sum >> 8) & 0xff];
  };
  const framed = (bytes) => {
    const escaped = [...bytes, ...crc(bytes)].flatMap((byte) => ({ [END]: [ESC, ESC_END], [ESC]: [ESC, ESC_ESC] })[byte] ?? [byte]);
    return [END, ...escaped, END];
  };
  const line = globalThis.line = { inUse: false, chosen: true, deaf: false, noisy: false, lose: [], lost: 0, requests: 0 };
  let incoming;
  let frame = [];

  const answer = async (bytes) => {
    const { call, toHex, fromHex } = await globalThis.device();
    const guarded = bytes[2] >= 0x10;
    const lost = guarded ? line.lose.shift() : undefined;
    if (line.deaf || lost) line.lost += 1;
    if (line.deaf || lost === "request") return;
    line.requests += guarded ? 1 : 0;
    let said = framed(fromHex(call("sim_exchange", { request: toHex(bytes) }).answer));
    if (lost === "answer") return;
    if (lost === "spoilt") said[said.length >> 1] ^= 0x10;
    if (line.noisy) {
      const log = new TextEncoder().encode("INFO radio: tx done, 23 °C\r\n");
      said = [...log, END, 1, 2, 3, ESC, 9, END, ...said, 0xff, ...log];
    }
    // A port gives what has come, in pieces of any length.
    while (said.length) incoming.enqueue(new Uint8Array(said.splice(0, 1 + Math.floor(Math.random() * 40))));
  };

  const hear = async (chunk) => {
    for (const byte of chunk) {
      if (byte !== END) { frame.push(byte); continue; }
      const bytes = [];
      for (let at = 0; at < frame.length; at += 1) {
        bytes.push(frame[at] === ESC ? { [ESC_END]: END, [ESC_ESC]: ESC }[frame[at += 1]] : frame[at]);
      }
      frame = [];
      const [sum, body] = [bytes.slice(-2), bytes.slice(0, -2)];
      if (body.length && String(crc(body)) === String(sum)) await answer(new Uint8Array(body));
    }
  };

  const port = {
    readable: null,
    writable: null,
    async open({ baudRate }) {
      if (baudRate !== 115200) throw new TypeError(baudRate);
      if (line.inUse) throw new DOMException("Failed to open serial port.", "NetworkError");
      port.readable = new ReadableStream({ start(controller) { incoming = controller; } });
      port.writable = new WritableStream({ write: hear });
    },
    async close() { port.readable = port.writable = null; },
  };
  line.pull = () => {
    port.readable = port.writable = null;
    incoming.error(new DOMException("The device has been lost.", "NetworkError"));
  };
  Object.defineProperty(navigator, "serial", { value: {
    async requestPort() {
      if (!line.chosen) throw new DOMException("No port selected by the user.", "NotFoundError");
      return port;
    },
  } });
}

/** Puts the mocks into a page that is not loaded yet. */
export async function mock(page) {
  for (const one of [device, nfc, serial]) await page.addInitScript(one);
  // How long the page waits for an answer on a line, 3 s or 15 (page/ways.js), is over at once where the mock lost something, and is
  // all of it where it did not, however slow the browser is.
  await page.addInitScript(() => {
    const real = globalThis.setTimeout;
    globalThis.setTimeout = (what, ms, ...more) => {
      const over = (ms === 3000 || ms === 15000) && globalThis.line.lost > 0;
      if (over) globalThis.line.lost -= 1;
      return real(what, over ? 0 : ms, ...more);
    };
  });
}
