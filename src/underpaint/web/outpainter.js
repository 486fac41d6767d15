// The photo with handles at its sides: what is drawn out of it is painted on beyond the photo.

import { action, el } from "./dom.js";
import { LONGEST_PX, SIDES, UNIT_PX } from "./outpaint.js";

const ROOM_PX = 52; // around the picture, for the handles
const PAGE_PX = 4 * UNIT_PX; // that PageUp adds
const FAITHLESS = 0.8; // the strength from which the added part no longer shows the photo's edge, drawn out
// Which way each arrow key moves a handle. Along its own axis a handle goes where the arrow points; the other two arrows
// are those of any slider: up and right is more.
const KEYS = {
  left: { ArrowLeft: 1, ArrowRight: -1, ArrowUp: 1, ArrowDown: -1 },
  right: { ArrowLeft: -1, ArrowRight: 1, ArrowUp: 1, ArrowDown: -1 },
  top: { ArrowUp: 1, ArrowDown: -1, ArrowRight: 1, ArrowLeft: -1 },
  bottom: { ArrowUp: -1, ArrowDown: 1, ArrowRight: 1, ArrowLeft: -1 },
};

/** A view of the photo within the picture to be: hatched where something is added. `draw` it again when the form changed. */
export class Outpainter {
  #settings;
  #fit;
  #handles = {};
  #labels = {};
  #held = null; // while a handle is dragged: { side, from, pixels, scale, left, top }

  /**
   * `settings` is the form, whose size and added pixels it shows and changes; `fit` the CSS of how the photo fills its part;
   * `done()` ends it.
   */
  constructor(photo, settings, { fit, done }) {
    this.#settings = settings;
    this.#fit = fit;
    this.photo = photo;
    this.image = el("img", { src: photo.url, alt: photo.name, draggable: false });
    this.frame = el("div", { class: "extension" });
    this.size = el("span", { class: "tag left" });
    for (const side of Object.keys(SIDES)) {
      this.#labels[side] = el("span", { class: `added ${side}`, "aria-hidden": "true" });
      this.#handles[side] = this.#handle(side);
    }
    this.frame.append(this.image, ...Object.values(this.#labels), this.size, ...Object.values(this.#handles));
    this.element = el("div", { class: "extending", role: "group", ariaLabel: "Outpaint: a handle at each side of the photo" }, this.frame);
    this.words = el("span", { class: "fact", role: "status" });
    this.stronger = el("button", { type: "button", class: "small", id: "outpaint-strength", onclick: () => settings.set({ strength: FAITHLESS }) }, `Use strength ${FAITHLESS}`);
    this.tools = [
      this.words,
      this.stronger,
      el("span", { class: "grow" }),
      action("close", "Nothing added", () => {
        for (const side of Object.keys(SIDES)) settings.outpaint.put(side, 0);
        done();
      }, { id: "outpaint-none", title: "Take away what is added, and show the photo" }),
      el("button", { type: "button", class: "primary small", id: "outpaint-done", onclick: done }, "Done"),
    ];
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
    this.draw();
  }

  /** To be called when it is no longer shown. */
  leave() {
    this.observer.disconnect();
  }

  focus() {
    this.#handles.right.focus();
  }

  #handle(side) {
    const handle = el("div", {
      class: `handle ${side}`,
      tabIndex: 0,
      role: "slider",
      ariaLabel: `Pixels to add at the ${side}`,
      "aria-orientation": SIDES[side] === "width" ? "horizontal" : "vertical",
      "aria-valuemin": "0",
    });
    handle.addEventListener("keydown", (event) => this.#key(event, side));
    handle.addEventListener("pointerdown", (event) => this.#down(event, side));
    handle.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) {
      handle.addEventListener(type, () => {
        this.#held = null;
        this.draw();
      });
    }
    return handle;
  }

  get #now() {
    const { width = 0, height = 0, outpaint = {} } = this.#settings.read();
    return { width, height, added: { left: 0, top: 0, right: 0, bottom: 0, ...outpaint } };
  }

  /** How much a side can have: the whole picture has at most 2048 pixels. */
  #most(side) {
    const now = this.#now;
    return Math.floor((LONGEST_PX - now[SIDES[side]] + now.added[side]) / UNIT_PX) * UNIT_PX;
  }

  #put(side, pixels) {
    const next = Math.min(this.#most(side), Math.max(0, Math.round(pixels / UNIT_PX) * UNIT_PX));
    if (next !== this.#now.added[side]) this.#settings.outpaint.put(side, next);
  }

  #key(event, side) {
    const now = this.#now.added[side];
    const arrow = KEYS[side][event.key];
    if (arrow) this.#put(side, now + arrow * UNIT_PX);
    else if (event.key === "Home") this.#put(side, 0);
    else if (event.key === "End") this.#put(side, this.#most(side));
    else if (event.key === "PageUp" || event.key === "PageDown") this.#put(side, now + (event.key === "PageUp" ? PAGE_PX : -PAGE_PX));
    else return;
    event.preventDefault();
  }

  #down(event, side) {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    // The scale stays while a handle is held: otherwise the picture would run away from the finger.
    this.#held = { side, from: { x: event.clientX, y: event.clientY }, pixels: this.#now.added[side], ...this.#layout() };
  }

  #move(event) {
    if (!this.#held) return;
    const { side, from, pixels, scale } = this.#held;
    const outward = { left: from.x - event.clientX, right: event.clientX - from.x, top: from.y - event.clientY, bottom: event.clientY - from.y }[side];
    this.#put(side, pixels + outward / scale);
  }

  /** CSS pixels to a pixel of the picture, and where the photo's corner lies. */
  #layout() {
    const { width, height, added } = this.#now;
    const { clientWidth, clientHeight } = this.element;
    const scale = Math.max(0.01, Math.min((clientWidth - 2 * ROOM_PX) / width, (clientHeight - 2 * ROOM_PX) / height));
    return {
      scale,
      left: (clientWidth - width * scale) / 2 + added.left * scale,
      top: (clientHeight - height * scale) / 2 + added.top * scale,
    };
  }

  draw() {
    const { width, height, added } = this.#now;
    if (!(width > 0 && height > 0)) return;
    const { scale, left, top } = this.#held ?? this.#layout();
    this.element.classList.toggle("held", this.#held !== null);
    const px = (length) => `${length * scale}px`;
    Object.assign(this.frame.style, {
      left: `${left - added.left * scale}px`,
      top: `${top - added.top * scale}px`,
      width: px(width),
      height: px(height),
    });
    Object.assign(this.image.style, {
      left: px(added.left),
      top: px(added.top),
      width: px(Math.max(0, width - added.left - added.right)),
      height: px(Math.max(0, height - added.top - added.bottom)),
      objectFit: this.#fit(),
    });
    for (const [side, pixels] of Object.entries(added)) {
      if (!(side in SIDES)) continue;
      const label = this.#labels[side];
      label.textContent = `+${pixels}`;
      label.hidden = !pixels;
      label.style[side] = px(pixels / 2);
      const handle = this.#handles[side];
      handle.setAttribute("aria-valuenow", pixels);
      handle.setAttribute("aria-valuemax", this.#most(side));
      handle.setAttribute("aria-valuetext", `${pixels} pixels; the picture has ${width} by ${height}`);
    }
    const any = Object.keys(SIDES).some((side) => added[side]);
    this.size.textContent = `${width} × ${height}`;
    this.words.textContent = any ? "The hatched part is painted new." : "Draw a handle outward: what is added is painted new.";
    this.stronger.hidden = !any || this.#settings.read().strength >= FAITHLESS;
  }
}
