// Templates: kept in the browser, compared with the socket, written to it.
import { ask, by } from "./core.js";
import { make } from "./forms.js";
import * as keep from "./keep.js";

export class Templates {
  /** `tool` has `say`, `fail`, `write(makeRequest)` and `connected`. */
  constructor(tool) {
    this.tool = tool;
    this.all = {};
    by("template-save").addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    by("template-import").addEventListener("click", () => by("template-file").click());
    by("template-file").addEventListener("change", () => this.import());
    by("template-write").addEventListener("click", () => this.write());
    by("template-export").addEventListener("click", () => this.export());
    by("template-delete").addEventListener("click", () => this.delete());
    by("template-keep").addEventListener("click", () => this.edit());
  }

  async load() {
    this.all = (await keep.get("templates")) ?? {};
    this.list();
  }

  list() {
    const names = Object.keys(this.all).sort();
    const items = names.map((name) => {
      const button = make("button", { type: "button", "aria-expanded": String(name === this.open) }, name);
      button.addEventListener("click", () => this.show(name));
      return make("li", {}, button);
    });
    by("template-list").replaceChildren(...(items.length ? items : [make("li", { class: "note" }, "No templates yet.")]));
    by("template-open").hidden = !(this.open in this.all);
  }

  async put(name, text) {
    this.all[name] = text;
    await keep.put("templates", this.all);
    this.show(name);
  }

  async save() {
    try {
      const name = by("template-name").value.trim();
      if (!name) return;
      await this.put(name, ask("template_of").template);
      by("template-name").value = "";
      this.tool.say(`Saved as “${name}”`);
    } catch (error) {
      this.tool.fail(error);
    }
  }

  async import() {
    const [file] = by("template-file").files;
    by("template-file").value = "";
    if (file) await this.put(file.name.replace(/\.json$/i, ""), await file.text());
  }

  show(name) {
    this.open = name;
    this.list();
    by("template-title").textContent = name;
    by("template-text").value = this.all[name];
    this.compare();
  }

  /** Shows what the template would change in the socket, or why it cannot be written. */
  compare() {
    if (!(this.open in this.all) || !this.tool.connected()) return;
    const place = by("template-difference");
    by("template-write").disabled = false;
    try {
      const { differences, secrets } = ask("template_look", { template: this.all[this.open] });
      const parts = [];
      if (differences.length) {
        const cells = (kind, texts) => make("tr", {}, ...texts.map((text) => make(kind, kind === "th" ? { scope: "col" } : {}, text)));
        parts.push(make("table", {}, make("thead", {}, cells("th", ["Setting", "Socket", "Template"])),
          make("tbody", {}, ...differences.map(({ key, from, to }) => cells("td", [key, from, to])))));
      } else {
        parts.push(make("p", {}, "The socket has it so already."));
      }
      if (secrets.length) parts.push(make("p", { class: "note" }, `With keys that nobody can compare: ${secrets.join(", ")}`));
      place.replaceChildren(...parts);
    } catch (error) {
      by("template-write").disabled = true;
      place.replaceChildren(make("p", { class: "wrong", role: "alert" }, error.message));
    }
  }

  async write() {
    const template = this.all[this.open];
    const fields = await this.tool.write(() => ask("template_write", { template }));
    if (fields) this.compare();
  }

  export() {
    const link = make("a", { download: `${this.open}.json` });
    link.href = URL.createObjectURL(new Blob([this.all[this.open]], { type: "application/json" }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async delete() {
    delete this.all[this.open];
    this.open = undefined;
    await keep.put("templates", this.all);
    this.list();
  }

  async edit() {
    await this.put(this.open, by("template-text").value);
    this.tool.say("Kept");
  }
}
