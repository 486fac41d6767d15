// Painting where a photo is to be painted anew. White is painted, black is kept, as the API has it.

import { action, announce, el } from "./dom.js";

const LONGEST_SIDE_PX = 1024;
const TINT = "rgb(98 204 174)";

/**
 * A canvas over the photo. The pointer paints; with the keyboard, the arrow keys move the brush, Space paints, and [ and ]
 * change its size.
 */
export class MaskPainter {
  #size = 12; // of the brush, percent of the longer side
  #erasing = false;
  #at = { x: 0.5, y: 0.5 };
  #last = null;
  #context;

  #done;

  /** Begins with `mask` where there is one. `done(mask)` gets { blob, url, width, height }, or null for no mask. */
  constructor(photo, mask, done) {
    this.#done = done;
    const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(photo.width, photo.height));
    this.width = Math.round(photo.width * scale);
    this.height = Math.round(photo.height * scale);
    this.canvas = el("canvas", {
      width: this.width,
      height: this.height,
      tabIndex: 0,
      role: "application",
      ariaLabel: "Mask. Arrow keys move the brush, Space paints, [ and ] change its size",
    });
    this.#context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.brush = el("div", { class: "brush", "aria-hidden": "true" });
    this.element = el("div", { class: "alone masking" }, el("img", { src: photo.url, alt: photo.name }), this.canvas, this.brush);
    this.element.style.setProperty("--ratio", photo.ratio);
    this.canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) this.canvas.addEventListener(type, () => (this.#last = null));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.range = el("input", { type: "range", min: 2, max: 50, value: this.#size, ariaLabel: "Size of the brush" });
    this.range.addEventListener("input", () => this.#resize(this.range.valueAsNumber));
    const erase = action("erase", "Erase", () => {
      this.#erasing = !this.#erasing;
      erase.setAttribute("aria-pressed", String(this.#erasing));
    });
    this.tools = [
      el("label", { class: "brush-size fact" }, "Brush", this.range),
      erase,
      action("invert", "Invert", () => this.#invert()),
      action("trash", "Clear", () => this.#context.clearRect(0, 0, this.width, this.height)),
      el("span", { class: "grow" }),
      el("button", { type: "button", class: "small", id: "mask-none", onclick: () => done(null) }, "No mask"),
      el("button", { type: "button", class: "primary small", id: "mask-done", onclick: () => this.finish() }, "Use the mask"),
    ];
    this.#resize(this.#size);
    if (mask?.url) this.#begin(mask.url);
  }

  /** Uses what is painted. */
  async finish() {
    this.#done(await this.#mask());
  }

  async #begin(url) {
    const image = el("img", { src: url });
    try {
      await image.decode();
      const drawn = el("canvas", { width: this.width, height: this.height });
      const context = drawn.getContext("2d");
      context.drawImage(image, 0, 0, this.width, this.height);
      const pixels = context.getImageData(0, 0, this.width, this.height);
      const [red, green, blue] = TINT.match(/\d+/g).map(Number);
      for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set([red, green, blue, pixels.data[at]], at);
      context.putImageData(pixels, 0, 0);
      this.#context.drawImage(drawn, 0, 0);
    } catch {
      // The server no longer keeps it, or it came from another origin, whose pictures cannot be read: a new one is painted.
    }
  }

  #resize(size) {
    this.#size = Math.min(50, Math.max(2, size));
    this.range.value = this.#size;
    this.range.style.setProperty("--fill", `${((this.#size - 2) / 48) * 100}%`);
    this.#show();
  }

  get #radius() {
    return (this.#size / 200) * Math.max(this.width, this.height);
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#at = this.#last = this.#place(event);
    this.#stroke(this.#at, this.#at);
  }

  #move(event) {
    this.#at = this.#place(event);
    this.#show();
    if (!this.#last) return;
    this.#stroke(this.#last, this.#at);
    this.#last = this.#at;
  }

  #key(event) {
    const step = event.shiftKey ? 0.1 : 0.025;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      const within = (value) => Math.min(1, Math.max(0, value));
      this.#at = { x: within(this.#at.x + move[0]), y: within(this.#at.y + move[1]) };
    } else if (event.key === " ") this.#stroke(this.#at, this.#at);
    else if (event.key === "[" || event.key === "]") this.#resize(this.#size + (event.key === "]" ? 3 : -3));
    else return;
    event.preventDefault();
    this.#show();
    announce(`Brush at ${Math.round(this.#at.x * 100)} across, ${Math.round(this.#at.y * 100)} down`);
  }

  #show() {
    this.brush.style.left = `${this.#at.x * 100}%`;
    this.brush.style.top = `${this.#at.y * 100}%`;
    this.brush.style.width = `${(this.#radius / this.width) * 200}%`;
  }

  #stroke(from, to) {
    const context = this.#context;
    context.globalCompositeOperation = this.#erasing ? "destination-out" : "source-over";
    Object.assign(context, { strokeStyle: TINT, lineCap: "round", lineJoin: "round", lineWidth: 2 * this.#radius });
    context.beginPath();
    context.moveTo(from.x * this.width, from.y * this.height);
    context.lineTo(to.x * this.width + 0.01, to.y * this.height);
    context.stroke();
  }

  #invert() {
    const context = this.#context;
    context.globalCompositeOperation = "xor";
    context.fillStyle = TINT;
    context.fillRect(0, 0, this.width, this.height);
  }

  /** White where it is painted, black elsewhere; null where nothing is. */
  async #mask() {
    const drawn = this.#context.getImageData(0, 0, this.width, this.height);
    let any = false;
    for (let at = 0; at < drawn.data.length; at += 4) {
      const value = drawn.data[at + 3];
      any ||= value > 0;
      drawn.data.set([value, value, value, 255], at);
    }
    if (!any) return null;
    const canvas = el("canvas", { width: this.width, height: this.height });
    canvas.getContext("2d").putImageData(drawn, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    return { blob, url: URL.createObjectURL(blob), width: this.width, height: this.height };
  }
}
