// Power over the last two minutes.
const SECONDS = 120;
const WIDTH = 480;
const HEIGHT = 140;

/** Returns a round number at or above a value, to be the top of the scale. */
export function topOf(value) {
  const tens = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 2.5, 5, 10].map((step) => step * tens).find((top) => top >= value);
}

export class Plot {
  constructor(svg) {
    this.svg = svg;
    this.points = [];
  }

  clear() {
    this.points = [];
    this.draw(Date.now());
  }

  add(watts, now = Date.now()) {
    this.points.push([now, watts]);
    this.points = this.points.filter(([at]) => now - at <= SECONDS * 1000);
    this.draw(now);
  }

  draw(now) {
    const top = topOf(Math.max(10, ...this.points.map(([, watts]) => watts)));
    const place = ([at, watts]) => [WIDTH - (now - at) / (SECONDS * 1000) * WIDTH, HEIGHT - 4 - watts / top * (HEIGHT - 24)];
    const places = this.points.map(place).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    const grid = [0, 0.5, 1].map((part) => HEIGHT - 4 - part * (HEIGHT - 24))
      .map((y) => `<path class="grid" d="M0 ${y}H${WIDTH}"/>`).join("");
    const line = places.length > 1 ? `M${places.join("L")}` : "";
    const first = places[0]?.split(" ")[0] ?? 0;
    const last = places.at(-1)?.split(" ")[0] ?? 0;
    const area = line && `${line}L${last} ${HEIGHT - 4}L${first} ${HEIGHT - 4}Z`;
    this.svg.innerHTML = `${grid}<path class="area" d="${area}"/><path class="line" d="${line}"/>`;
    const newest = this.points.at(-1)?.[1];
    this.svg.setAttribute("aria-label", newest === undefined ? "No readings yet"
      : `Power is ${newest.toFixed(1)} W; the scale ends at ${top} W`);
    this.svg.parentElement.querySelector("figcaption").textContent =
      newest === undefined ? "Power, last two minutes" : `Power, last two minutes, up to ${top} W`;
  }
}
