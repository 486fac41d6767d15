// The passes that led to the picture on the stage: each was painted over the one before it. A pass can be changed and painted
// anew, and the later ones repeated on top of it.

import { counted, el, find } from "./dom.js";

export class Passes {
  #place = find("passes");
  #chain = [];
  #changed = null; // { source, later }: what a pass that is being changed starts from, and the passes after it
  #repeat;

  /** `repeat(result, later)` paints passes with these parameters, one after another, beginning on `result`. */
  constructor(repeat) {
    this.#repeat = repeat;
  }

  /** Note that a pass is about to be changed: its settings are in the form. */
  change(result) {
    const index = this.#chain.findIndex(({ imageUUID }) => imageUUID === result.imageUUID);
    const later = index < 0 ? [] : this.#chain.slice(index + 1).map(({ parameters }) => parameters);
    this.#changed = later.length ? { source: result.source?.uuid, later, former: result.imageUUID } : null;
  }

  /** `thumb(url, words, item)` makes the button of one picture. */
  draw(results, current, thumb) {
    // The strip stays whole while one looks at its earlier pictures.
    const within = this.#chain.some(({ imageUUID }) => imageUUID === current?.imageUUID);
    if (!within || results.length === 0) this.#chain = chainOf(results, current);
    const [first] = this.#chain;
    const offered = this.#offered(current);
    this.#place.hidden = this.#chain.length < 2 && !offered;
    if (this.#place.hidden) return;
    this.#place.querySelector("ol").replaceChildren(
      el("li", {}, thumb(first.source.url, `The photo: ${first.source.name}`, { photo: first.source })),
      ...this.#chain.map((result, index) => {
        const { positivePrompt, strength } = result.parameters;
        const item = el("li", { "data-step": `${strength ?? 0.8}` }, thumb(result.url, `Pass ${index + 1}: ${describe(result)}`, result));
        item.title = positivePrompt;
        return item;
      }),
      ...(offered ? [el("li", { "data-step": "…" }, offered)] : []),
    );
  }

  #offered(current) {
    const changed = this.#changed;
    if (!changed || !current?.imageUUID || current.imageUUID === changed.former || current.source?.uuid !== changed.source) return null;
    const words = `Repeat the ${changed.later.length === 1 ? "later pass" : counted(changed.later.length, "later pass", "later passes")}`;
    const onclick = () => {
      this.#changed = null;
      this.#repeat(current, changed.later);
    };
    return el("button", { type: "button", class: "small", id: "repeat-passes", onclick }, words);
  }
}

/** The passes up to a result, the first one first. */
export function chainOf(results, last) {
  const byUUID = new Map(results.map((result) => [result.imageUUID, result]));
  const chain = [];
  for (let each = last?.imageUUID && last; each && !chain.includes(each); each = byUUID.get(each.source?.uuid)) chain.unshift(each);
  return chain;
}

export function describe({ parameters, seed }) {
  return `${parameters.positivePrompt} · strength ${parameters.strength ?? 0.8} · seed ${seed}`;
}
