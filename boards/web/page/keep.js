// A small store that outlives a reload: templates, the update that is being written, simulated sockets.
const open = () => new Promise((done, fail) => {
  const request = indexedDB.open("sockeye-toolbox", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("kept");
  request.onsuccess = () => done(request.result);
  request.onerror = () => fail(request.error);
});

async function run(mode, what) {
  const base = await open();
  try {
    return await new Promise((done, fail) => {
      const request = what(base.transaction("kept", mode).objectStore("kept"));
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
    });
  } finally {
    base.close();
  }
}

// A browser that keeps nothing (a private window) still has the tool, without what it would have kept.
export const get = (key) => run("readonly", (kept) => kept.get(key)).catch(() => undefined);
export const put = (key, value) => run("readwrite", (kept) => kept.put(value, key)).catch(() => undefined);
export const drop = (key) => run("readwrite", (kept) => kept.delete(key)).catch(() => undefined);
