// Small pictures of figures, as SVG.

import { el } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 84;

function shape(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Chart {
  constructor(title, unit) {
    this.title = title;
    this.unit = unit;
    this.most = el("span", {});
    this.now = el("p", { class: "now" });
    this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.axis = el("div", { class: "axis", "aria-hidden": "true" });
    this.element = el("figure", { class: "chart" }, el("figcaption", {}, title, this.most), this.now, this.svg, this.axis);
    this.say("–"); // so that nothing moves when the first figure comes
  }

  say(words, unit = this.unit) {
    this.now.replaceChildren(words, el("small", {}, unit));
    this.svg.setAttribute("aria-label", `${this.title}: ${words} ${unit}`);
  }
}

/** A figure over time, and a second one behind it. Values may be null where there was none. */
export class Line extends Chart {
  /** `length` values fill it from `since`, in words, to now. */
  constructor(title, unit, { length, since, digits = 0 }) {
    super(title, unit);
    this.length = length;
    this.digits = digits;
    this.axis.append(el("span", {}, since), el("span", {}, "now"));
  }

  draw(values, second = []) {
    const known = [...values, ...second].filter((value) => value !== null);
    const most = Math.max(...known, 10 ** -this.digits);
    const x = (index) => ((this.length - values.length + index) / (this.length - 1)) * WIDTH;
    const y = (value) => HEIGHT - 2 - (value / most) * (HEIGHT - 8);
    const path = (list) =>
      list.map((value, index) => (value === null ? "" : `${list[index - 1] == null ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
    const line = path(values);
    const whole = values.length > 1 && values.every((value) => value !== null);
    this.svg.replaceChildren(
      shape("path", { class: "floor", d: `M0 ${HEIGHT - 1}H${WIDTH}` }),
      ...(whole ? [shape("path", { class: "area", d: `${line}V${HEIGHT - 1}H${x(0).toFixed(1)}Z` })] : []),
      shape("path", { class: "second", d: path(second) }),
      shape("path", { class: "main", d: line }),
    );
    const last = values.findLast((value) => value !== null);
    this.say(last === undefined ? "–" : last.toFixed(this.digits));
    this.most.textContent = known.length ? `up to ${most.toFixed(this.digits)}` : "";
  }
}

/** How often each of a few sizes was seen: [{ name, count }]. */
export class Bars extends Chart {
  constructor(title, unit) {
    super(title, unit);
    this.svg.classList.add("bars");
    this.axis.classList.add("ticks");
  }

  draw(bars, mean) {
    const most = Math.max(1, ...bars.map(({ count }) => count));
    const step = WIDTH / Math.max(1, bars.length);
    this.svg.replaceChildren(
      ...bars.map(({ count }, index) => {
        const height = count ? Math.max(2, (count / most) * (HEIGHT - 4)) : 0;
        return shape("rect", { x: index * step + step * 0.2, y: HEIGHT - height, width: step * 0.6, height, rx: 2 });
      }),
      shape("path", { class: "floor", d: `M0 ${HEIGHT - 1}H${WIDTH}` }),
    );
    this.axis.replaceChildren(...bars.map(({ name }) => el("span", {}, name)));
    this.say(mean === null ? "–" : mean.toFixed(1));
  }
}
