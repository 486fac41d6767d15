// Sheets: the same task with one or two of its parameters varied. A sweep is a sheet of one row.

import { newUUID } from "./wire.js";

export const MAX_CELLS = 100; // of one sheet; the server takes 256 tasks of one connection at a time

/** What can be varied: how it is called, and values to begin with. Prompts stand one on a line, other values between commas. */
export const AXES = {
  strength: { name: "Strength", short: "strength", values: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], number: true },
  CFGScale: { name: "CFG scale", short: "CFG", values: [1, 3, 5, 7, 9, 12], number: true },
  steps: { name: "Steps", short: "steps", values: [5, 10, 20, 30, 50], number: true },
  scheduler: { name: "Scheduler", short: "", values: ["DDIM", "Euler", "Euler a", "DPM++ 2M", "UniPC"] },
  seed: { name: "Seed", short: "seed", values: [1, 2, 3, 4] },
  negativePrompt: { name: "Negative prompt", short: "without", values: ["", "people, text", "dark, night", "sunlight, blue sky"], lines: true, blank: true },
  positivePrompt: { name: "Prompt", short: "", values: ["watercolor painting", "charcoal sketch", "neon cyberpunk", "autumn colors"], lines: true },
};

export function valuesText(axis, values = AXES[axis].values) {
  return values.join(AXES[axis].lines ? "\n" : ", ");
}

/** The values that somebody wrote down. What is no number stays as it is: the server says what is wrong with it. */
export function valuesOf(axis, text) {
  const { lines, number, blank } = AXES[axis];
  const parts = text.split(lines ? "\n" : ",").map((part) => part.trim()).filter((part) => part || blank);
  return parts.map((part) => (number && Number.isFinite(Number(part)) ? Number(part) : part));
}

export function label(axis, value) {
  return `${AXES[axis].short} ${value === "" ? "nothing" : value}`.trim();
}

/** A sheet as it is shown: `cells` by row and column, each a run or a result, or null where there is neither. */
export class Sheet {
  constructor({ id = newUUID(), x, y = null }) {
    Object.assign(this, { id, x, y });
    this.cells = Array.from({ length: y?.values.length ?? 1 }, () => x.values.map(() => null));
  }

  /** Of what the history and the runs under way know of it. */
  static gather(id, results, runs) {
    const parts = [...results, ...runs].filter((each) => each.sheet?.id === id);
    const sheet = new Sheet(parts[0].sheet);
    for (const part of parts) sheet.put(part);
    return sheet;
  }

  put(part) {
    const [column, row] = part.sheet.at;
    this.cells[row][column] = part;
  }

  get all() {
    return this.cells.flat();
  }

  get ratio() {
    const some = this.all.find(Boolean);
    return some.ratio ?? some.parameters.width / some.parameters.height;
  }

  get title() {
    return [this.x, this.y].filter(Boolean).map(({ axis }) => AXES[axis].name).join(" by ").toLowerCase();
  }

  /** Parameters and place of each cell: [{ parameters, place }]. */
  plan(parameters) {
    const { id, x, y } = this;
    const { numberResults, ...common } = parameters;
    const rows = y?.values ?? [null];
    return rows.flatMap((own, row) =>
      x.values.map((value, column) => ({
        parameters: { ...common, [x.axis]: value, ...(y && { [y.axis]: own }) },
        place: { id, x, y, at: [column, row] },
      })),
    );
  }
}

/** A seed for pictures that are to differ in something else. */
export function newSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] || 1);
}
