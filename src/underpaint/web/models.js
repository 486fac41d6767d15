// The model: a list to search, by modelSearch.

import { el, find } from "./dom.js";
import { recall, remember } from "./storage.js";

const PAUSE_MS = 150; // between the last letter and the search
const LIMIT = 50;
const EMBEDDED = "underpaint:1@2";

export class ModelPicker {
  air = recall("model", EMBEDDED);
  #socket;
  #chosen;
  #input = find("model-search");
  #list = find("model-list");
  #active = -1;
  #timer = null;
  #asked = 0;

  /** `chosen` gets a model, and whether it was there before this page (so that the form's values fit it already). */
  constructor(socket, chosen) {
    this.#socket = socket;
    this.#chosen = chosen;
    this.#input.value = this.air;
    const input = this.#input;
    input.addEventListener("focus", () => {
      input.select();
      this.#search("");
    });
    input.addEventListener("input", (event) => {
      event.stopPropagation();
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(input.value.trim()), PAUSE_MS);
    });
    input.addEventListener("blur", () => {
      this.#close();
      // An identifier that was typed in full counts, listed or not: the server says what is wrong with it.
      if (input.value.includes("@") && input.value.trim() !== this.air) this.choose(input.value.trim());
      else this.#show();
    });
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("click", () => this.#list.hidden && this.#search(""));
    // Before `blur`, which would close the list under the pointer.
    this.#list.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** Looks up what was chosen before, or takes what is there. */
  async start() {
    const all = await this.#find("");
    const known = all.find((model) => model.air === this.air) ?? all.find((model) => model.air === EMBEDDED) ?? all[0];
    if (known) this.#take(known, recall("model", null) === known.air);
  }

  /** Takes a model by its identifier, as a picture names it; the form's values stay. What it is, is looked up meanwhile. */
  async choose(air) {
    if (!air || air === this.air) return;
    this.#take({ air }, true);
    const found = await this.#find(air).catch(() => []); // painting with it says what is wrong
    const known = found.find((model) => model.air === air);
    if (known && this.air === air) this.#take(known, true);
  }

  async #find(search) {
    const [item] = await this.#socket.ask({ taskType: "modelSearch", category: "checkpoint", limit: LIMIT, ...(search && { search }) });
    return item.results;
  }

  async #search(text) {
    const asked = ++this.#asked;
    let models;
    try {
      models = await this.#find(text);
    } catch (error) {
      models = error;
    }
    if (asked !== this.#asked || document.activeElement !== this.#input) return;
    this.#active = -1;
    if (models instanceof Error || !models.length) {
      const words = models instanceof Error ? models.message : "No model here is called that.";
      this.#list.replaceChildren(el("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, words));
    } else {
      this.#list.replaceChildren(...models.map((model, index) => this.#option(model, index)));
    }
    this.#open(true);
  }

  #option(model, index) {
    return el(
      "li",
      { role: "option", id: `model-${index}`, "aria-selected": String(model.air === this.air), onclick: () => this.#pick(model), model },
      el("b", {}, model.name),
      el("span", { class: "air" }, `${model.air} · ${model.architecture}`),
      el("span", {}, model.comment),
    );
  }

  #key(event) {
    const options = [...this.#list.children].filter((option) => option.model);
    if (event.key === "Escape" && !this.#list.hidden) {
      event.stopPropagation();
      this.#close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.#list.hidden) return this.#search("");
      const move = event.key === "ArrowDown" ? 1 : -1;
      this.#active = (this.#active + move + options.length) % options.length;
      options.forEach((option, index) => option.classList.toggle("active", index === this.#active));
      options[this.#active]?.scrollIntoView({ block: "nearest" });
      this.#input.setAttribute("aria-activedescendant", options[this.#active]?.id ?? "");
    } else if (event.key === "Enter") {
      event.preventDefault(); // it chooses a model, and does not send the form
      if (options[this.#active]) this.#pick(options[this.#active].model);
      else this.#input.blur();
    }
  }

  #pick(model) {
    this.#take(model);
    this.#close();
  }

  #take(model, before = false) {
    this.air = model.air;
    remember("model", model.air);
    find("model-hint").textContent = model.comment || "What paints. Type to search those installed here.";
    this.#show();
    this.#chosen(model, before || model.defaultSteps === undefined);
  }

  #show() {
    this.#input.value = this.air;
  }

  #open(open) {
    this.#list.hidden = !open;
    this.#input.setAttribute("aria-expanded", String(open));
    if (!open) this.#input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.#asked += 1;
    clearTimeout(this.#timer);
    this.#open(false);
  }
}
