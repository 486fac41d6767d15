// Choosing what a sheet varies.

import { counted, el, find } from "./dom.js";
import { AXES, MAX_CELLS, valuesOf, valuesText } from "./sheets.js";
import { recall, remember } from "./storage.js";

/** `paint({ x, y })` gets the axes, each { axis, values }, and `y` null for a single row. */
export function sheetDialog(paint) {
  const selects = { x: find("sheet-x"), y: find("sheet-y") };
  const texts = { x: find("sheet-x-values"), y: find("sheet-y-values") };
  const last = recall("sheet", { x: { axis: "strength", values: AXES.strength.values }, y: null });

  const axisOf = (side) => {
    const axis = selects[side].value;
    return axis ? { axis, values: valuesOf(axis, texts[side].value) } : null;
  };
  const count = () => {
    const [x, y] = [axisOf("x"), axisOf("y")];
    const cells = x.values.length * (y?.values.length ?? 1);
    const same = x.axis === y?.axis;
    const prompts = [x, y].some((each) => each && AXES[each.axis].lines);
    const blanks = [x, y].some((each) => each && AXES[each.axis].blank);
    const others = [x, y].some((each) => each && !AXES[each.axis].lines);
    const apart = [others && "Commas stand between values", prompts && "each prompt has a line of its own", blanks && "an empty line is none"].filter(Boolean).join("; ");
    find("sheet-count").textContent = same
      ? "Across and down must be different settings."
      : cells > MAX_CELLS
        ? `${counted(cells, "picture")}: a sheet has at most ${MAX_CELLS}.`
        : `${counted(cells, "picture")}. ${apart[0].toUpperCase()}${apart.slice(1)}.`;
    find("paint-sheet").disabled = same || cells === 0 || cells > MAX_CELLS;
    texts.y.hidden = !y;
  };
  for (const side of ["x", "y"]) {
    selects[side].append(...Object.entries(AXES).map(([axis, { name }]) => el("option", { value: axis }, name)));
    selects[side].value = last[side]?.axis ?? "";
    texts[side].value = last[side] ? valuesText(last[side].axis, last[side].values) : "";
    selects[side].addEventListener("change", () => {
      texts[side].value = selects[side].value ? valuesText(selects[side].value) : "";
      count();
    });
    texts[side].addEventListener("input", count);
  }
  count();
  find("sheet-button").onclick = () => find("sheet-dialog").showModal();
  find("sheet-form").addEventListener("submit", () => {
    const axes = { x: axisOf("x"), y: axisOf("y") };
    remember("sheet", axes);
    paint(axes);
  });
}
