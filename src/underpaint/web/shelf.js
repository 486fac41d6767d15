// What was made before: the history of this browser, and the passes that led to the picture on the stage.

import { el, find } from "./dom.js";
import { history } from "./storage.js";

export class Shelf {
  #list = find("history");
  #passes = find("passes");
  #chosen;
  #picking = null;

  /** `chosen(item)` gets the result or the run that was clicked. */
  constructor(chosen) {
    this.#chosen = chosen;
    find("clear-history").onclick = () => {
      history.clear();
      this.draw([], null);
      find("positivePrompt").focus();
    };
    addEventListener("keydown", (event) => event.key === "Escape" && this.stopPicking());
  }

  /** Shows runs that are under way, then results. `current` is what the stage shows. */
  draw(runs, current) {
    const results = history.all();
    this.#list.replaceChildren(
      ...[...runs].toReversed().map((run) => this.#item(run.source?.url ?? "", `Being painted: ${run.task.positivePrompt}`, run, current)),
      ...results.map((result) => this.#item(result.url, describe(result), result, current)),
    );
    find("history-empty").hidden = this.#list.children.length > 0;
    find("clear-history").hidden = results.length === 0;
    this.#drawPasses(results, current);
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

  #item(url, words, item, current) {
    return el("li", {}, this.#thumb(url, words, item, current));
  }

  #thumb(url, words, item, current) {
    const isCurrent = current && (item === current || (item.imageUUID && item.imageUUID === current.imageUUID));
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

  #drawPasses(results, current) {
    const chain = chainOf(results, current);
    this.#passes.hidden = chain.length < 2;
    if (chain.length < 2) return;
    const photo = chain[0].source;
    this.#passes.querySelector("ol").replaceChildren(
      el("li", {}, this.#thumb(photo.url, `The photo: ${photo.name}`, { photo }, current)),
      ...chain.map((result, index) =>
        el(
          "li",
          { "data-step": `${result.parameters.strength ?? 0.8} → ` },
          this.#thumb(result.url, `Pass ${index + 1}: ${describe(result)}`, result, current),
        ),
      ),
    );
  }
}

/** The passes up to a result, the first one first: each was painted over the one before it. */
export function chainOf(results, last) {
  const byUUID = new Map(results.map((result) => [result.imageUUID, result]));
  const chain = [];
  for (let each = last?.imageUUID && last; each && !chain.includes(each); each = byUUID.get(each.source?.uuid)) chain.unshift(each);
  return chain;
}

export function describe({ parameters, seed }) {
  return `${parameters.positivePrompt} · strength ${parameters.strength ?? 0.8} · seed ${seed}`;
}
