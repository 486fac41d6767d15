// Continuing a photo beyond its sides: how many pixels to add at each, in steps of 64.

import { find } from "./dom.js";

export const UNIT_PX = 64;
export const LONGEST_PX = 2048; // of the whole picture
export const SIDES = { left: "width", top: "height", right: "width", bottom: "height" };
const BLUR_PX = 16; // so that the seam does not show

/** The four fields. What is added at a side is added to the size of the picture, too, so that the photo keeps its scale. */
export class Outpaint {
  #added = { left: 0, top: 0, right: 0, bottom: 0 };
  #grow;

  /** `grow(side, pixels)` is called with "width" or "height" when something was added or taken away by hand. */
  constructor(grow) {
    this.#grow = grow;
    for (const side of Object.keys(SIDES)) {
      const field = find(`outpaint-${side}`);
      field.addEventListener("input", () => {
        const pixels = field.valueAsNumber;
        if (!Number.isInteger(pixels / UNIT_PX) || pixels < 0) return; // the server says what is wrong with it
        this.#take(side, pixels);
      });
    }
  }

  /** Adds so many pixels at a side, as by hand. */
  put(side, pixels) {
    find(`outpaint-${side}`).value = pixels;
    this.#take(side, pixels);
  }

  #take(side, pixels) {
    const more = pixels - this.#added[side];
    this.#added[side] = pixels;
    this.#grow(SIDES[side], more);
  }

  /** The parameter; undefined where nothing is added. What is no number is sent as it is. */
  read() {
    const added = Object.fromEntries(Object.keys(SIDES).map((side) => [side, Number(find(`outpaint-${side}`).value)]));
    return Object.values(added).some((pixels) => pixels !== 0) ? { ...added, blur: BLUR_PX } : undefined;
  }

  set(parameter) {
    for (const side of Object.keys(SIDES)) {
      this.#added[side] = parameter?.[side] ?? 0;
      find(`outpaint-${side}`).value = this.#added[side];
    }
  }
}

/** Where the photo lies within a picture that was continued beyond it, as CSS; null where it is the whole. */
export function placeOfPhoto({ outpaint, width, height }) {
  if (!outpaint) return null;
  const { left = 0, top = 0, right = 0, bottom = 0 } = outpaint;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  return {
    left: percent(left, width),
    top: percent(top, height),
    width: percent(width - left - right, width),
    height: percent(height - top - bottom, height),
  };
}
