// A sheet on the stage: one row with a slider through it, or a table.

import { action, el, notify } from "./dom.js";
import { stateWords } from "./runs.js";
import { drawSheet } from "./sheetpicture.js";
import { label } from "./sheets.js";
import { saveBlob } from "./sharing.js";

/** `open(result)` is called for a cell that is looked at closely. */
export class SheetView {
  constructor(sheet, { open, cancel }) {
    this.sheet = sheet;
    this.cells = sheet.cells.map((row, y) => row.map((_, x) => new Cell(() => sheet.cells[y][x], open)));
    this.element = sheet.y ? this.#table() : this.#row();
    this.element.style.setProperty("--ratio", sheet.ratio);
    this.element.style.setProperty("--columns", sheet.x.values.length);
    this.element.style.setProperty("--rows", sheet.cells.length);
    const { positivePrompt, seed } = (sheet.all.find(Boolean).task ?? sheet.all.find(Boolean).parameters);
    const common = [sheet.x, sheet.y].some((each) => each?.axis === "positivePrompt") ? `seed ${seed}` : positivePrompt;
    this.cancel = action("close", "Cancel", () => this.#underWay.forEach(cancel), { id: "cancel" });
    this.closer = action("compare", "Look closely", () => open(this.#current()), { id: "open-cell" });
    this.closer.hidden = Boolean(sheet.y);
    this.save = action("download", "Download the sheet", () => this.#download(), { id: "download-sheet" });
    this.tools = [el("span", { class: "fact" }, common), el("span", { class: "grow" }), this.cancel, this.closer, this.save];
    this.draw();
  }

  /** A sweep: the picture, the slider through them all, and the row of them. */
  #row() {
    const { x } = this.sheet;
    const last = x.values.length - 1;
    this.under = el("img", { alt: "" });
    this.over = el("img", { class: "over", alt: "" });
    this.words = el("output", {});
    this.slider = el("input", { type: "range", id: "sweep", min: 0, max: last, step: 0.02, value: Math.ceil(last / 2), ariaLabel: `Through ${this.sheet.title}` });
    this.slider.addEventListener("input", () => this.draw());
    this.slider.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!move) return;
      event.preventDefault(); // from picture to picture, not from shade to shade
      this.slider.value = Math.round(this.slider.valueAsNumber) + move;
      this.draw();
    });
    this.cells[0].forEach((cell, index) => {
      cell.caption(String(x.values[index]) || "nothing");
      cell.element.onclick = () => {
        this.slider.value = index;
        this.draw();
      };
    });
    const picture = el("div", { class: "sweep-picture" }, this.under, this.over);
    const bar = el("div", { class: "sweep-bar" }, this.slider, this.words);
    return el("div", { class: "sweep" }, picture, bar, el("div", { class: "film" }, ...this.cells[0].map((cell) => cell.element)));
  }

  #table() {
    const { x, y } = this.sheet;
    const head = el("tr", {}, el("td"), ...x.values.map((value) => el("th", { scope: "col" }, label(x.axis, value))));
    const rows = this.cells.map((row, index) =>
      el("tr", {}, el("th", { scope: "row" }, label(y.axis, y.values[index])), ...row.map((cell) => el("td", {}, cell.element))),
    );
    return el("div", { class: "sheet", tabIndex: 0, role: "region", ariaLabel: `Sheet of ${this.sheet.title}` }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
  }

  get #underWay() {
    return this.sheet.all.filter((part) => part?.task && !part.error);
  }

  #current() {
    return this.sheet.cells[0][Math.round(this.slider.valueAsNumber)];
  }

  draw() {
    for (const cell of this.cells.flat()) cell.draw();
    this.cancel.hidden = !this.#underWay.length;
    this.save.hidden = Boolean(this.#underWay.length);
    if (this.sheet.y) return;
    const place = this.slider.valueAsNumber;
    const [low, high] = [Math.floor(place), Math.ceil(place)];
    const [row] = this.cells;
    this.#put(this.under, row[low]);
    this.#put(this.over, row[high]);
    this.over.style.opacity = place - low;
    const nearest = Math.round(place);
    row.forEach((cell, index) => cell.element.setAttribute("aria-current", String(index === nearest)));
    this.words.textContent = label(this.sheet.x.axis, this.sheet.x.values[nearest]);
    this.slider.setAttribute("aria-valuetext", this.words.textContent);
    this.slider.style.setProperty("--fill", `${(100 * place) / Math.max(1, this.slider.max)}%`);
    this.closer.disabled = !this.#current()?.imageUUID;
  }

  #put(image, cell) {
    if (image.src !== cell.url) image.src = cell.url;
    image.alt = cell.words;
    image.classList.toggle("waiting", !cell.part?.imageUUID);
  }

  async #download() {
    try {
      saveBlob(await drawSheet(this.sheet), `underpaint-${this.sheet.title.replaceAll(" ", "-")}.png`);
    } catch (error) {
      notify(error.message);
    }
  }
}

class Cell {
  #partNow;

  /** `partNow()` is the run, then the result, that belongs here. */
  constructor(partNow, open) {
    this.#partNow = partNow;
    this.image = el("img", { alt: "", decoding: "async" });
    this.say = el("span", { class: "state" });
    this.element = el("button", { type: "button", class: "cell", onclick: () => this.part?.imageUUID && open(this.part) }, this.image, this.say);
  }

  get part() {
    return this.#partNow();
  }

  caption(words) {
    this.element.append(el("span", { class: "cell-caption" }, words));
  }

  get url() {
    const { part } = this;
    return part?.url ?? part?.pictures?.[0].preview ?? part?.source?.url ?? "data:,";
  }

  get words() {
    const { part } = this;
    if (!part) return "No picture";
    const { sheet } = part;
    return [sheet.x, sheet.y].map((axis, index) => axis && label(axis.axis, axis.values[sheet.at[index]])).filter(Boolean).join(", ");
  }

  draw() {
    const { part } = this;
    if (this.image.src !== this.url) this.image.src = this.url;
    this.element.classList.toggle("waiting", !part?.imageUUID);
    const state = !part ? "none" : part.imageUUID ? "" : part.error ? (part.error.code === "taskCancelled" ? "cancelled" : "failed") : stateWords(part.pictures[0]).replace(/ ·.*/, "");
    this.say.textContent = state;
    this.element.ariaLabel = [this.words, state].filter(Boolean).join(": ");
  }
}
