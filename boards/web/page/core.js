// The program in WebAssembly: questions and answers are JSON (boards/web/src/lib.rs).
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let program;

export class Refused extends Error {
  constructor(answer) {
    super(answer.error);
    this.kind = answer.kind;
    this.field = answer.field;
    this.stale = answer.stale === true;
  }
}

export async function load() {
  const { body } = await fetch("sockeye.bin");
  const unpacked = body.pipeThrough(new DecompressionStream("gzip"));
  const code = new Response(unpacked, { headers: { "Content-Type": "application/wasm" } });
  const { instance } = await WebAssembly.instantiateStreaming(code, {});
  program = instance.exports;
}

/** Asks the program; a refusal is thrown. */
export function ask(what, more = {}) {
  const question = encoder.encode(JSON.stringify({ do: what, ...more }));
  const at = program.reserve(question.length);
  new Uint8Array(program.memory.buffer, at, question.length).set(question);
  const length = program.ask();
  const answer = JSON.parse(decoder.decode(new Uint8Array(program.memory.buffer, program.answer(), length)));
  if (answer.error !== undefined) throw new Refused(answer);
  return answer;
}

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const by = (id) => document.getElementById(id);
