// What was made before: the history of this browser.

import { counted, el, find } from "./dom.js";
import { describe, Passes } from "./passes.js";
import { Sheet } from "./sheets.js";
import { history } from "./storage.js";

export class Shelf {
  passes;
  #list = find("history");
  #chosen;
  #picking = null;

  /** `chosen(item)` gets the result, run or sheet that was clicked, or `{ photo }`; for `repeat` see Passes. */
  constructor(chosen, repeat) {
    this.#chosen = chosen;
    this.passes = new Passes(repeat);
    find("clear-history").onclick = () => {
      history.clear();
      this.draw([], null);
      find("positivePrompt").focus();
    };
    addEventListener("keydown", (event) => event.key === "Escape" && this.stopPicking());
  }

  /** Shows runs that are under way, then results, and of a sheet one picture. `current` is what the stage shows. */
  draw(runs, current) {
    const results = history.all();
    const sheets = new Set();
    const items = [];
    for (const each of [...[...runs].toReversed(), ...results]) {
      if (!each.sheet) items.push(each);
      else if (!sheets.has(each.sheet.id)) {
        sheets.add(each.sheet.id);
        items.push(Sheet.gather(each.sheet.id, results, [...runs]));
      }
    }
    this.#list.replaceChildren(...items.map((item) => el("li", {}, this.#tile(item, current))));
    find("history-empty").hidden = items.length > 0;
    find("clear-history").hidden = results.length === 0;
    this.passes.draw(results, current, (url, words, item) => this.#thumb(url, words, item, item.imageUUID === current?.imageUUID));
  }

  /** Lets the next click choose a result for something else than to be shown. */
  pick(words, picked) {
    this.#picking = picked;
    find("history-title").textContent = words;
    document.body.classList.add("picking");
    this.#list.querySelector("button")?.focus();
  }

  stopPicking() {
    this.#picking = null;
    find("history-title").textContent = "Your pictures";
    document.body.classList.remove("picking");
  }

  #tile(item, current) {
    if (item instanceof Sheet) {
      const painted = item.all.filter((part) => part?.imageUUID);
      const shown = painted[Math.floor(painted.length / 2)] ?? item.all.find(Boolean);
      const words = `A sheet of ${item.title}: ${counted(item.all.length, "picture")}`;
      const tile = this.#thumb(shown.url ?? shown.source?.url, words, item, current?.id === item.id || current?.sheet?.id === item.id);
      tile.append(el("span", { class: "badge", "aria-hidden": "true" }, String(item.all.length)));
      return tile;
    }
    if (item.task) return this.#thumb(item.source?.url, `Being painted: ${item.task.positivePrompt}`, item, item === current);
    return this.#thumb(item.url, describe(item), item, item.imageUUID === current?.imageUUID);
  }

  #thumb(url, words, item, isCurrent) {
    const picture = el("img", { src: url, alt: "", loading: "lazy", decoding: "async" });
    const button = el("button", { type: "button", class: "thumb", title: words, ariaLabel: words, "aria-current": isCurrent ? "true" : undefined }, picture);
    picture.addEventListener("error", () => button.classList.add("lost"));
    button.onclick = () => {
      const picked = this.#picking;
      if (picked && !item.imageUUID) return;
      this.stopPicking();
      (picked ?? this.#chosen)(item);
    };
    return button;
  }
}
