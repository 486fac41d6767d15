// The form: its fields are named as the API's parameters, and an error of a parameter appears at its field.

import { el, find, notify } from "./dom.js";
import { Outpaint } from "./outpaint.js";
import { sameShape, sizesFor } from "./sizes.js";
import { recall, remember } from "./storage.js";

const SLIDERS = ["strength", "CFGScale", "steps", "numberResults"];
const FIELDS = ["positivePrompt", "negativePrompt", "strengthCurve", "scheduler", "width", "height", "fit", "seed", "outputFormat"];
/** What the form has no field for, and takes along from the picture whose settings it was given. */
const CARRIED = ["clipSkip", "promptWeighting", "colorFix", "vae", "embeddings", "refiner", "acceleratorOptions", "passes"];
/** Models of rectified flows, whose strength works otherwise, and the schedulers that do not run with them. */
const FLOWS = /^(flux|sd3)/;
const NOT_FOR_FLOWS = ["DDIM", "PNDMScheduler", "LMS", "LMS Karras", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DEISMultistepScheduler", "IPNDMScheduler", "DDPMScheduler", "TCDScheduler"];
const IDEAS = ["watercolor painting", "charcoal sketch", "neon cyberpunk", "comic book style", "autumn colors", "snow, winter"];

export class Settings {
  #form = find("settings");
  #ratio = 1.5;
  #side = 512;
  #flows = false; // whether the model is of rectified flows
  #carried = {};
  #changed = () => {};
  /** The pixels that are added at the sides of the photo. */
  outpaint = new Outpaint((dimension, pixels) => this.set({ [dimension]: Number(find(dimension).value) + pixels }));

  constructor() {
    for (const name of SLIDERS) this.#pair(name);
    const prompt = find("positivePrompt");
    find("ideas").append(
      ...IDEAS.map((idea) =>
        el("button", { type: "button", title: idea, onclick: () => this.set({ positivePrompt: idea }) }, idea),
      ),
    );
    this.#form.addEventListener("input", (event) => {
      this.clearError(event.target.closest("[data-parameter]"));
      this.#refresh();
    });
    prompt.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    // Whoever types a seed wants that one.
    find("seed").addEventListener("input", (event) => (find("seed-locked").checked = event.target.value.trim() !== ""));
    find("seed-locked").addEventListener("change", () => this.#refresh());
    this.set(recall("settings", {}));
    find("more").open = recall("more", false);
    find("more").addEventListener("toggle", () => remember("more", find("more").open));
  }

  /** `changed` is called after every change, by hand or not. */
  onChange(changed) {
    this.#changed = changed;
    this.#refresh();
  }

  /** A range and a number that show one value. The number may be anything: the server says what is wrong with it. */
  #pair(name) {
    const range = find(name);
    const number = find(`${name}-number`);
    number.value = range.value;
    range.addEventListener("input", () => (number.value = range.value));
    number.addEventListener("input", () => number.value !== "" && (range.value = number.value));
  }

  /** The parameters of a task, without its model and pictures. What is left empty is left to the server. */
  read() {
    const parameters = {};
    for (const name of FIELDS) {
      const value = find(name).value.trim();
      if (value !== "") parameters[name] = value;
    }
    for (const name of [...SLIDERS, "width", "height"]) {
      const value = find(SLIDERS.includes(name) ? `${name}-number` : name).value;
      if (value !== "") parameters[name] = Number(value);
      else delete parameters[name];
    }
    if (!this.seedLocked) delete parameters.seed;
    if (parameters.seed && !/^\d+$/.test(parameters.seed)) parameters.seed = Number(parameters.seed) || 0;
    if (parameters.scheduler === "Default") delete parameters.scheduler;
    if (find("strengthCurve-field").hidden || parameters.strengthCurve === "steps") delete parameters.strengthCurve;
    if (find("fit-field").hidden) parameters.fit = "cover";
    const margin = find("maskMargin").value;
    if (!find("maskMargin-field").hidden && margin !== "") parameters.maskMargin = Number(margin);
    const outpaint = this.outpaint.read();
    if (outpaint) parameters.outpaint = outpaint;
    if (parameters.numberResults === 1) delete parameters.numberResults;
    if (parameters.outputFormat === "JPG") delete parameters.outputFormat;
    return { ...parameters, ...this.#carried };
  }

  /** Puts parameters into the form, and leaves the others as they are. */
  set(parameters) {
    for (const name of [...FIELDS, ...SLIDERS]) {
      const value = parameters[name];
      if (value === undefined || value === null) continue;
      if (name === "scheduler" && ![...find(name).options].some((option) => option.value === value)) {
        find(name).append(el("option", {}, String(value)));
      }
      find(name).value = value;
      if (SLIDERS.includes(name)) find(`${name}-number`).value = value;
    }
    for (const name of CARRIED) {
      if (parameters[name] === null) delete this.#carried[name];
      else if (name in parameters) this.#carried[name] = parameters[name];
    }
    if ("maskMargin" in parameters) find("maskMargin").value = parameters.maskMargin ?? "";
    if ("outpaint" in parameters) this.outpaint.set(parameters.outpaint);
    if (parameters.seed !== undefined) find("seed-locked").checked = true;
    this.#drawCarried();
    this.#refresh();
  }

  #drawCarried() {
    this.clearError(find("carried-field"));
    find("carried-field").hidden = !Object.keys(this.#carried).length;
    find("carried").replaceChildren(
      ...Object.entries(this.#carried).map(([name, value]) =>
        el("button", { type: "button", title: JSON.stringify(value), ariaLabel: `Leave ${name} out`, onclick: () => this.set({ [name]: null }) }, `${name} ×`),
      ),
    );
  }

  /** Puts in how a picture was made: what it does not say has its default. */
  setAll(parameters) {
    this.set({ ...this.#kept(), ...parameters });
    const { width, height } = parameters;
    if (parameters.negativePrompt || parameters.scheduler || (width && height)) find("more").open = true;
  }

  /** A margin is asked for where there is a mask. */
  followMask(masked) {
    find("maskMargin-field").hidden = !masked;
    this.#refresh();
  }

  get seedLocked() {
    return find("seed-locked").checked;
  }

  /** Shows the seed of the newest picture, so that locking it keeps that one. */
  showSeed(seed) {
    if (!this.seedLocked) find("seed").value = seed;
  }

  /** Suggests sizes for a photo's shape, and takes the middle one. */
  suit(ratio, { keepSize = false } = {}) {
    this.#ratio = ratio;
    const sizes = sizesFor(ratio, this.#side);
    find("sizes").replaceChildren(
      ...sizes.map(({ name, width, height }) =>
        el("button", { type: "button", title: `${width} × ${height}`, "data-size": `${width}x${height}`, onclick: () => this.set({ width, height, outpaint: null }) }, name),
      ),
    );
    const { width, height } = sizes.find(({ name }) => name === "M") ?? sizes[0];
    if (keepSize) this.#refresh();
    else this.set({ width, height, outpaint: null });
  }

  /** What another model wants. */
  adopt(model, { keepValues = false } = {}) {
    this.#side = Math.sqrt((model.defaultWidth ?? 512) * (model.defaultHeight ?? 512));
    this.#flows = FLOWS.test(model.architecture);
    const keepsPhoto = !["inpainting", "control"].includes(model.type); // those begin with noise whatever the strength
    find("strengthCurve-field").hidden = !this.#flows || !keepsPhoto;
    for (const option of find("scheduler").options) option.disabled = this.#flows && NOT_FOR_FLOWS.includes(option.value);
    if (!keepValues) {
      this.set({ strength: model.defaultStrength, steps: model.defaultSteps, CFGScale: model.defaultCFG, scheduler: model.defaultScheduler ?? "Default" });
    }
    this.suit(this.#ratio, { keepSize: keepValues });
  }

  #refresh() {
    for (const name of SLIDERS) {
      const range = find(name);
      const share = (range.value - range.min) / (range.max - range.min);
      range.style.setProperty("--fill", `${share * 100}%`);
    }
    const { strength, strengthCurve, steps, width, height, outpaint } = this.read();
    const bySteps = strengthCurve === undefined;
    find("strength-hint").textContent = `How much of the photo is given up. ${this.#flows && bySteps ? "With this model 0.8 and more" : "0.3 to 0.7"} restyles; 1 starts anew.`;
    const ran = strength > 0 ? Math.max(1, Math.round(steps * strength)) : 0;
    find("strength-steps").textContent = bySteps && strength >= 0 && steps >= 1 ? `runs ${ran} of ${steps} steps` : "";
    find("fit-field").hidden = !(width && height) || sameShape(...withoutAdded(width, height, outpaint), this.#ratio);
    for (const chip of find("sizes").children) {
      chip.setAttribute("aria-pressed", chip.dataset.size === `${width}x${height}`);
    }
    for (const chip of find("ideas").children) {
      chip.setAttribute("aria-pressed", chip.title === find("positivePrompt").value);
    }
    remember("settings", { ...this.#kept(), ...this.read() });
    this.#changed();
  }

  #kept() {
    const carried = Object.fromEntries(CARRIED.map((name) => [name, null]));
    return { negativePrompt: "", strengthCurve: "steps", scheduler: "Default", numberResults: 1, outputFormat: "JPG", outpaint: null, maskMargin: null, ...carried };
  }

  /** Shows an error at the field that it concerns, and elsewhere if there is none. */
  showError(error) {
    const names = error.parameters ?? [];
    const speaksOf = (name) => names.some((each) => each === name || each.startsWith(`${name}.`) || each.startsWith(`${name}[`));
    const fields = [...this.#form.querySelectorAll("[data-parameter]")].filter((field) => field.dataset.parameter.split(" ").some(speaksOf));
    const concerned = fields.filter((field) => !fields.some((each) => each !== field && field.contains(each)));
    if (!concerned.length) return notify(error.message);
    for (const field of concerned) {
      const place = own(field, ".error")[0];
      place.id ||= `error-${field.dataset.parameter.replace(/[^\w]+/g, "-")}`;
      place.textContent = error.message;
      place.hidden = false;
      field.classList.add("wrong");
      for (const control of controlsOf(field, names)) {
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-errormessage", place.id);
      }
      const section = field.closest("details");
      if (section) section.open = true;
    }
    const [wrong] = own(concerned[0], "[aria-invalid]:not([hidden], [type=range])");
    (wrong ?? own(concerned[0], "button")[0])?.focus();
    concerned[0].scrollIntoView({ block: "nearest" });
  }

  clearError(field) {
    if (!field?.classList.contains("wrong")) return;
    field.classList.remove("wrong");
    own(field, ".error")[0].hidden = true;
    for (const control of own(field, "[aria-invalid]")) {
      control.removeAttribute("aria-invalid");
      control.removeAttribute("aria-errormessage");
    }
  }

  clearErrors() {
    for (const field of this.#form.querySelectorAll(".wrong")) this.clearError(field);
    notify(null);
  }
}

/** The controls of a field that these parameters have, or all of them where it is none of them alone. */
function controlsOf(field, names) {
  const ids = names.flatMap((name) => [name.replace(".", "-"), `${name}-number`]);
  const all = own(field, "input, textarea, select");
  const meant = all.filter(({ id }) => ids.includes(id));
  return meant.length ? meant : all;
}

/** What is within a field, and not within another one inside it. */
function own(field, selector) {
  return [...field.querySelectorAll(selector)].filter((each) => each.closest("[data-parameter]") === field);
}

/** The size of the photo itself in a picture that is continued beyond it. */
function withoutAdded(width, height, { left = 0, right = 0, top = 0, bottom = 0 } = {}) {
  return [width - left - right, height - top - bottom];
}
