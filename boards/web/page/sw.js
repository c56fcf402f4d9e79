// Keeps the page for times without a network. The version is put in when the page is made: a new page, a new cache.
const CACHE = "toolbox-VERSION";
const FILES = ["./", "app.js", "core.js", "ways.js", "forms.js", "templates.js", "upgrade.js", "plot.js", "keep.js",
  "style.css", "icon.svg", "manifest.webmanifest", "sockeye.bin"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const drop = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(drop).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept ?? fetch(event.request)));
});
