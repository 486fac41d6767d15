// What the stage shows: a photo, a run, or results, with what can be done with them below.

import { action, announce, counted, el, find } from "./dom.js";
import { Compare } from "./compare.js";
import { copyText, download } from "./sharing.js";
import { placeOfPhoto } from "./outpaint.js";
import { stateWords } from "./runs.js";
import { SheetView } from "./sheetview.js";

/** What becomes of a photo of another shape, as CSS has it. */
export const FITS = { cover: "cover", contain: "contain", stretch: "fill" };

export class Stage {
  shown = null; // the photo, run or result
  #scene = find("scene");
  #tools = find("tools");
  #deeds;
  #leave = () => {};

  /** `deeds`: { cancel(run), useAsPhoto(result), useSettings(result), compareWith(result), show(item), showSheet(id) }. */
  constructor(deeds) {
    this.#deeds = deeds;
  }

  #set(shown, content, tools = []) {
    this.#leave();
    this.#leave = () => {};
    this.shown = shown;
    this.#scene.replaceChildren(content);
    this.#tools.replaceChildren(...tools);
    this.#tools.hidden = !tools.length;
  }

  /** The photo, and over it the mask, if there is one: what it marks is tinted. */
  showPhoto(photo, caption, mask = null) {
    const picture = el(
      "div",
      { class: "alone" },
      el("img", { src: photo.url, alt: photo.name }),
      mask?.url && el("div", { class: "marked", role: "img", ariaLabel: "The mask: what is tinted is painted anew" }),
      caption && el("p", { class: "caption" }, caption),
    );
    picture.style.setProperty("--ratio", photo.ratio);
    if (mask?.url) picture.querySelector(".marked").style.maskImage = `url("${new URL(mask.url, location.href).href.replace(/["\\\\]/g, encodeURIComponent)}")`;
    this.#set(photo, picture);
  }

  /** The photo with handles at its sides. */
  showOutpainter(outpainter) {
    this.#set(outpainter, outpainter.element, outpainter.tools);
    this.#leave = () => outpainter.leave();
  }

  /** Lets somebody paint a mask over the photo. */
  showPainter(painter) {
    this.#set(painter, painter.element, painter.tools);
    painter.canvas.focus();
  }

  showRun(run) {
    const tiles = run.pictures.map(() => new RunTile(run.source));
    const draw = () => tiles.forEach((tile, index) => tile.draw(run.pictures[index]));
    this.#set(run, this.#grid(tiles.map((tile) => tile.element), run.ratio), [
      el("span", { class: "fact" }, run.task.positivePrompt),
      el("span", { class: "grow" }),
      action("close", "Cancel", () => this.#deeds.cancel(run), { id: "cancel" }),
    ]);
    draw();
    run.addEventListener("progress", draw);
    this.#leave = () => run.removeEventListener("progress", draw);
  }

  /** A sheet, also while its pictures are being made: `changed` of it is called when one of them has moved on. */
  showSheet(sheet) {
    const view = new SheetView(sheet, { open: (result) => this.#deeds.show(result), cancel: (run) => this.#deeds.cancel(run) });
    this.#set(sheet, view.element, view.tools);
    sheet.changed = () => view.draw();
    this.#leave = () => (sheet.changed = null);
  }

  /** All results of one task, to choose from; a single one at once. */
  showResults(results) {
    announce(`${counted(results.length, "picture")} finished.`);
    if (results.length === 1) return this.showResult(results[0]);
    const { width, height, positivePrompt } = results[0].parameters;
    const tiles = results.map((result) =>
      el("button", { type: "button", class: "tile", ariaLabel: `Open the picture with seed ${result.seed}`, onclick: () => this.#deeds.show(result) }, el("img", { src: result.url, alt: "" })),
    );
    this.#set(results[0], this.#grid(tiles, width / height), [el("span", { class: "fact" }, `${positivePrompt} · choose one to look at`)]);
  }

  #grid(tiles, ratio) {
    const grid = el("div", { class: tiles.length === 1 ? "tiles one" : "tiles" }, ...tiles);
    const { clientWidth: width, clientHeight: height } = this.#scene;
    // The number of columns with which the tiles come out largest.
    let best = { side: 0, columns: 1 };
    for (let columns = 1; columns <= tiles.length; columns += 1) {
      const rows = Math.ceil(tiles.length / columns);
      const side = Math.min((width - 20) / columns - 10, ((height - 20) / rows - 10) * ratio);
      if (side > best.side) best = { side, columns };
    }
    grid.style.setProperty("--ratio", ratio);
    grid.style.setProperty("--columns", best.columns);
    grid.style.setProperty("--tile", tiles.length === 1 ? `min(100%, calc(var(--scene-height) * ${ratio}))` : `${Math.floor(best.side)}px`);
    return grid;
  }

  showResult(result) {
    this.#compare(result, { url: result.source.url, name: "Before", fit: FITS[result.parameters.fit] ?? "fill" }, "After", false);
  }

  /** A result over another one, which takes the place of its photo. */
  showBeside(result, other) {
    this.#compare(result, { url: other.url, name: differences(other, result), fit: "cover" }, differences(result, other), true);
  }

  #compare(result, before, name, beside) {
    const { width, height } = result.parameters;
    const percent = el("span", { class: "fact", role: "status" }, "100 %");
    const compare = new Compare(before, { url: result.url, name }, width / height, (zoom) => {
      percent.textContent = `${Math.round(zoom * 100)} %`;
    });
    Object.assign(compare.before.style, { objectFit: before.fit, ...(beside ? null : placeOfPhoto(result.parameters)) });
    const facts = `seed ${result.seed} · ${counted(result.steps ?? 0, "step")} · ${width} × ${height}`;
    compare.after.addEventListener("error", () => this.#lost(result));
    this.#set(result, compare.element, [
      el(
        "span",
        { class: "zoom", role: "group", ariaLabel: "Zoom" },
        action("minus", "Smaller", () => compare.zoomTo(compare.zoom / 1.5), { bare: true }),
        percent,
        action("plus", "Larger", () => compare.zoomTo(compare.zoom * 1.5), { bare: true }),
        action("fit", "Whole picture", () => compare.zoomTo(1), { bare: true }),
      ),
      el("span", { class: "fact long", title: facts }, facts),
      el("span", { class: "grow" }),
      result.sheet ? action("sheet", "Its sheet", () => this.#deeds.showSheet(result.sheet.id), { id: "show-sheet" }) : "",
      action("next", "Paint over it", () => this.#deeds.useAsPhoto(result), { id: "use-as-photo", title: "Use it as the photo of the next pass" }),
      action("settings", "Its settings", () => this.#deeds.useSettings(result), { id: "use-settings", title: "Put its settings into the form" }),
      action("compare", "Compare", () => this.#deeds.compareWith(result), { id: "compare-with", title: "Compare it with another picture", "aria-pressed": String(beside) }),
      action("link", "Copy link", (event) => copyText(result.url, event.currentTarget), { bare: true }),
      action("download", "Download", () => download(result), { bare: true, id: "download" }),
    ]);
    compare.cutAt(50);
  }

  #lost(result) {
    if (this.shown !== result) return;
    this.#set(result, el("p", { class: "caption" }, "The server no longer keeps this picture. Its settings are still here."), [
      action("settings", "Its settings", () => this.#deeds.useSettings(result)),
    ]);
  }
}

/** In what two results differ, from the view of the first: its own values, as short as can be. */
function differences(one, other) {
  const names = ["positivePrompt", "strength", "CFGScale", "steps", "scheduler", "seed", "model", "negativePrompt"];
  const own = names.filter((name) => String(one.parameters[name] ?? "") !== String(other.parameters[name] ?? ""));
  const words = own.map((name) => (name === "positivePrompt" ? one.parameters[name] : `${name} ${one.parameters[name] ?? "–"}`));
  return words.slice(0, 2).join(" · ").slice(0, 60) || `seed ${one.seed}`;
}

/** A picture that is being made. */
class RunTile {
  constructor(source) {
    this.base = el("img", { class: "base", src: source?.url ?? "", alt: "" });
    this.preview = el("img", { class: "preview", alt: "A preview of the picture", hidden: true });
    this.words = el("span", { "aria-hidden": "true" }); // the bar says it, to whoever asks: each step would be too much
    this.bar = el("progress", { max: 100, ariaLabel: "Progress" });
    this.element = el("div", { class: "tile" }, this.base, this.preview, el("div", { class: "say" }, this.words, this.bar));
  }

  draw(picture) {
    this.words.textContent = stateWords(picture);
    this.bar.setAttribute("aria-valuetext", this.words.textContent);
    if (picture.percent === undefined) this.bar.removeAttribute("value");
    else this.bar.value = picture.percent;
    if (picture.preview && this.preview.src !== picture.preview) {
      this.preview.src = picture.preview;
      this.preview.hidden = false;
      requestAnimationFrame(() => this.preview.classList.add("shown"));
    }
  }
}
