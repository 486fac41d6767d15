// Two pictures on top of each other: a rule between them that can be moved, and a zoom into both.

import { el } from "./dom.js";

const MOST_ZOOM = 8;

/** `before` and `after`: { url, name }. The keyboard moves the rule by the range within it. */
export class Compare {
  #cut = 50; // percent of the picture, from the left, that shows what was before
  #zoom = 1;
  #offset = { x: 0, y: 0 }; // of the plane, in CSS pixels
  #pointers = new Map();
  #onZoom;

  constructor(before, after, ratio, onZoom = () => {}) {
    this.#onZoom = onZoom;
    this.before = el("img", { class: "before", src: before.url, alt: before.name, draggable: false });
    this.after = el("img", { class: "after", src: after.url, alt: after.name, draggable: false });
    this.plane = el("div", { class: "plane" }, this.before, this.after);
    this.rule = el("div", { class: "rule" });
    this.range = el("input", { type: "range", min: 0, max: 100, step: 1, value: 50, ariaLabel: `Left of it: ${before.name}. Right of it: ${after.name}` });
    this.tags = [el("span", { class: "tag left" }, before.name), el("span", { class: "tag right" }, after.name)];
    this.element = el("div", { class: "compare" }, this.plane, this.range, this.rule, ...this.tags);
    this.element.style.setProperty("--ratio", ratio);
    this.range.addEventListener("input", () => this.cutAt(Number(this.range.value)));
    this.range.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) this.element.addEventListener(type, (event) => this.#pointers.delete(event.pointerId));
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.element.addEventListener("dblclick", (event) => this.zoomTo(this.#zoom > 1 ? 1 : 3, this.#place(event)));
    this.#draw();
  }

  get zoom() {
    return this.#zoom;
  }

  cutAt(percent) {
    this.#cut = Math.min(100, Math.max(0, percent));
    this.range.value = this.#cut;
    this.#draw();
  }

  /** Zooms so that what is at `place` stays there. */
  zoomTo(zoom, place = this.#middle()) {
    const next = Math.min(MOST_ZOOM, Math.max(1, zoom));
    const scale = next / this.#zoom;
    this.#offset = { x: place.x - (place.x - this.#offset.x) * scale, y: place.y - (place.y - this.#offset.y) * scale };
    this.#zoom = next;
    this.#draw();
    this.#onZoom(next);
  }

  #middle() {
    return { x: this.element.clientWidth / 2, y: this.element.clientHeight / 2 };
  }

  #place(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    const panning = this.#zoom > 1 && event.target !== this.rule;
    this.#pointers.set(event.pointerId, { ...this.#place(event), panning });
    this.range.focus({ preventScroll: true, focusVisible: false });
    if (event.pointerType === "mouse") event.preventDefault();
    if (!panning) this.#cutUnder(event);
  }

  #move(event) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    const place = this.#place(event);
    if (this.#pointers.size === 2) this.#pinch(event.pointerId, place);
    else if (pointer.panning) {
      this.#offset = { x: this.#offset.x + place.x - pointer.x, y: this.#offset.y + place.y - pointer.y };
      this.#draw();
    } else this.#cutUnder(event);
    Object.assign(pointer, place);
  }

  #key(event) {
    const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "+" || event.key === "=") this.zoomTo(this.#zoom * 1.5);
    else if (event.key === "-") this.zoomTo(this.#zoom / 1.5);
    else if (event.key === "0") this.zoomTo(1);
    else if (event.shiftKey && steps && this.#zoom > 1) {
      this.#offset = { x: this.#offset.x + 60 * steps[0], y: this.#offset.y + 60 * steps[1] };
      this.#draw();
    } else return;
    event.preventDefault();
  }

  #pinch(moving, place) {
    const [other] = [...this.#pointers].filter(([id]) => id !== moving).map(([, pointer]) => pointer);
    const was = this.#pointers.get(moving);
    const distance = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
    this.zoomTo((this.#zoom * distance(place)) / distance(was), { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 });
  }

  #wheel(event) {
    // A plain wheel scrolls the page, as everywhere, unless there is something to move around in.
    if (!event.ctrlKey && !event.metaKey && this.#zoom === 1) return;
    event.preventDefault();
    this.zoomTo(this.#zoom * Math.exp(-event.deltaY / 300), this.#place(event));
  }

  #cutUnder(event) {
    this.cutAt((100 * this.#place(event).x) / this.element.clientWidth);
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const within = (offset, size) => Math.min(0, Math.max(size - size * this.#zoom, offset));
    this.#offset = { x: within(this.#offset.x, width), y: within(this.#offset.y, height) };
    this.plane.style.transform = `translate(${this.#offset.x}px, ${this.#offset.y}px) scale(${this.#zoom})`;
    // The rule stands still on the screen while the pictures move below it.
    const cut = width ? (((this.#cut / 100) * width - this.#offset.x) / (width * this.#zoom)) * 100 : this.#cut;
    this.after.style.setProperty("--cut", `${Math.min(100, Math.max(0, cut))}%`);
    this.rule.style.setProperty("--rule", `${this.#cut}%`);
    this.element.classList.toggle("zoomed", this.#zoom > 1);
    this.tags[0].style.opacity = this.#cut > 12 ? 1 : 0;
    this.tags[1].style.opacity = this.#cut < 88 ? 1 : 0;
  }
}
