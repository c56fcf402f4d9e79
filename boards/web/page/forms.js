// The settings as a form: what a field may be, and what it is by default, the program says (crates/settings, `describe`).
import { by } from "./core.js";

const GROUPS = [
  ["general", "General", (key) => key.startsWith("general.")],
  ["lorawan", "LoRaWAN", (key) => key === "region" || key.startsWith("lorawan.")],
  ["multicast", "Multicast", (key) => key.startsWith("multicast.")],
  ["d2d", "Device to device", (key) => key.startsWith("d2d.")],
];

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};
export { make };

const valueAt = (settings, key) => key.split(".").reduce((value, name) => value?.[name], settings);

/** Makes the control of one kind: its elements, how to read it, how to set it. The first element is what the label is for. */
function control(field, id) {
  const described = { id, "aria-describedby": `${id}-help` };
  const number = (more = {}) => make("input", { type: "number", inputmode: "numeric", min: field.min, max: field.max, step: field.step ?? 1, ...more });
  const unit = () => (field.unit ? [make("span", { class: "note" }, field.unit)] : []);
  switch (field.kind) {
    case "flag": {
      const box = make("input", { type: "checkbox", ...described });
      return { elements: [box], read: () => box.checked, set: (value) => { box.checked = value; } };
    }
    case "number": {
      const input = number(described);
      return { elements: [input, ...unit()], read: () => input.value, set: (value) => { input.value = value; } };
    }
    case "choice": {
      const select = make("select", described, ...field.choices.map((choice) => make("option", { value: choice }, choice)));
      return { elements: [select], read: () => select.value, set: (value) => { select.value = value; } };
    }
    case "threshold":
    case "lock": {
      const box = make("input", { type: "checkbox", ...described });
      const amount = field.kind === "lock" ? "minutes" : "current_a";
      const input = number({ "aria-label": field.kind === "lock" ? `${field.label}: minutes, 0 without end` : `${field.label}: current in ampere` });
      return {
        elements: [box, input, ...unit()],
        read: () => ({ enabled: box.checked, [amount]: input.value === "" ? null : Number(input.value) }),
        set: (value) => { box.checked = value.enabled; input.value = value[amount]; },
      };
    }
    case "frequencies": {
      const input = make("input", { type: "text", inputmode: "numeric", class: "mono", autocomplete: "off", ...described });
      return { elements: [input], read: () => input.value, set: (value) => { input.value = (value ?? []).join(", "); } };
    }
    case "commands": {
      const input = make("input", { type: "text", class: "mono", autocomplete: "off", placeholder: "1510=on, 1511=off", ...described });
      return {
        elements: [input],
        read: () => input.value,
        set: (value) => { input.value = value.map((one) => `${one.command}=${one.action}`).join(", "); },
      };
    }
    default: {
      const hex = field.kind === "hex" ? { maxlength: field.digits, pattern: `[0-9a-fA-F]{${field.digits}}`, class: "mono", spellcheck: "false" } : {};
      const secret = field.secret ? { placeholder: "unchanged", type: "password" } : { type: "text" };
      const input = make("input", { autocomplete: "off", ...hex, ...secret, ...described });
      return { elements: [input], read: () => input.value, set: (value) => { input.value = value ?? ""; } };
    }
  }
}

/** Says what may be entered, and the default. */
function range(field) {
  const unit = field.unit ? ` ${field.unit}` : "";
  const parts = [];
  if (field.min !== undefined) parts.push(`${field.min} to ${field.max}${unit}`);
  if (field.kind === "hex") parts.push(`${field.digits} hexadecimal digits`);
  if (field.secret) parts.push("left empty it stays as it is");
  const value = field.default;
  if (value !== undefined && value !== null && field.kind !== "commands") {
    const text = typeof value === "boolean" ? (value ? "on" : "off")
      : Array.isArray(value) ? value.join(", ")
      : typeof value === "object" ? `${value.enabled ? "on" : "off"}, ${value.current_a ?? value.minutes}${unit}` : `${value}${unit}`;
    parts.push(`default ${text}`);
  }
  return parts.length ? ` (${parts.join("; ")})` : "";
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class SettingsForm {
  constructor(form, changed) {
    this.form = form;
    this.changed = changed;
    this.rows = new Map();
    form.addEventListener("input", () => this.look());
    form.addEventListener("change", () => this.look());
  }

  /** Shows the fields of a model and plan, with the settings that were read. */
  show(fields, settings) {
    this.rows.clear();
    this.form.replaceChildren(...GROUPS.map(([id, title, belongs]) => {
      const rows = fields.filter((field) => belongs(field.key) && field.kind !== "password" && field.kind !== "fixed");
      const set = make("fieldset", {}, make("legend", {}, title), ...rows.map((field) => this.row(field)));
      set.id = `group-${id}`;
      return set;
    }));
    this.fill(settings);
  }

  row(field) {
    const id = `set-${field.key}`;
    const made = control(field, id);
    const back = field.default === undefined || field.default === null ? []
      : [make("button", { type: "button", class: "default", "aria-label": `${field.label}: back to the default` }, "↺")];
    const wrong = make("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    const row = make("div", { class: "field", "data-key": field.key },
      make("label", { class: "name", for: id }, field.label),
      make("p", { class: "help", id: `${id}-help` }, field.help + range(field)),
      wrong,
      make("div", { class: "control" }, ...made.elements, ...back));
    back[0]?.addEventListener("click", () => { made.set(field.default); this.look(); });
    this.rows.set(field.key, { ...made, field, row, wrong });
    return row;
  }

  fill(settings) {
    for (const [key, row] of this.rows) {
      row.set(row.field.secret ? "" : valueAt(settings, key));
      row.before = row.read();
      this.blame(key);
    }
    this.look();
  }

  /** Marks what differs from what was read. */
  look() {
    for (const row of this.rows.values()) row.row.classList.toggle("changed", !same(row.read(), row.before));
    this.changed(Object.keys(this.changes()).length);
  }

  /** Returns what differs, as the program takes it. */
  changes() {
    const differ = [...this.rows].filter(([, row]) => !same(row.read(), row.before));
    return Object.fromEntries(differ.map(([key, row]) => {
      const value = row.read();
      return [key, typeof value === "boolean" ? (value ? "on" : "off") : value];
    }));
  }

  /** Shows what is wrong at its field, and goes there; without a sentence it takes that away. */
  blame(key, sentence) {
    const row = this.rows.get(key);
    if (!row) return false;
    const [input] = row.elements;
    row.wrong.hidden = !sentence;
    row.wrong.textContent = sentence ?? "";
    if (sentence) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", `set-${key}-wrong set-${key}-help`);
      input.focus();
      input.scrollIntoView({ block: "center" });
    } else {
      input.removeAttribute("aria-invalid");
    }
    return true;
  }

  forgive() {
    for (const key of this.rows.keys()) this.blame(key);
  }
}

/** Fills a list of terms and descriptions. */
export function describe(list, rows, wrap = false) {
  const pair = ([term, text]) => [make("dt", {}, term), make("dd", {}, text)];
  list.replaceChildren(...rows.flatMap((row) => (wrap ? [make("div", {}, ...pair(row))] : pair(row))));
}

/** Opens a dialog, and resolves to how it was left. */
export function openDialog(id) {
  const dialog = by(id);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue), { once: true }));
}
