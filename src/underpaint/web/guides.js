// Guides: what leads a task beside its prompt and its photo, LoRAs and pictures, each with the model by which it does.

import { announce, el, find, icon } from "./dom.js";
import { EDITORS, familyOf, KINDS, PREPROCESSORS, REFERENCE } from "./guidekinds.js";
import { Photo, photoOf } from "./photo.js";
import { recall, remember } from "./storage.js";

const PAGE = 100; // of modelSearch
const takesPictures = (kind) => KINDS[kind].most > 0;

/** One guide: `kind` of KINDS, `model`, its `pictures`, and the `values` of the kind's fields. */
class Guide {
  constructor(kind, model, pictures = [], values = {}) {
    const own = Object.fromEntries(KINDS[kind].fields.map(({ name, value }) => [name, values[name] ?? value]));
    Object.assign(this, { kind, model, pictures, values: own });
  }

  /** The fields that are worth asking with a checkpoint of that architecture. */
  fields(architecture) {
    return KINDS[this.kind].fields.filter(({ when }) => !when || when(this, architecture));
  }

  /** What the task says of it, but for its pictures: what it would do anyway is left out. Null where they are all it says. */
  entry(architecture) {
    if (KINDS[this.kind].plain) return null;
    const said = this.fields(architecture).filter(({ name, value, always }) => always || this.values[name] !== value);
    return { model: this.model, ...Object.fromEntries(said.map(({ name }) => [name, this.values[name]])) };
  }

  get record() {
    return { kind: this.kind, model: this.model, values: this.values, pictures: this.pictures.map((picture) => picture.record).filter(Boolean) };
  }
}

export class Guides {
  #socket;
  #pick;
  #showError;
  #photo;
  #guides = [];
  #all = null; // a promise of the models here
  #models = []; // that go with the present one
  #looked = false; // whether that is known
  #checkpoint = {};
  #architecture = ""; // of the checkpoint, once that is known
  #list = find("guide-list");
  #input = find("guide-file");
  #waiting = null; // the guide for which a file is being chosen
  #guideOf = new WeakMap(); // by the element that somebody types a number into

  /**
   * `pick(words, picked)` lets somebody choose one of the pictures that were made before; `showError({ message, parameters })`
   * shows an error at its field; `photo()` is the picture to start from.
   */
  constructor(socket, { pick, showError, photo }) {
    this.#socket = socket;
    this.#pick = pick;
    this.#showError = showError;
    this.#photo = photo;
    this.#guides = recall("guides", []).filter(({ kind }) => kind in KINDS).map(revived);
    find("add-lora").onclick = () => this.#add(this.#choices(false));
    find("add-guide").onclick = () => this.#add(this.#choices(true));
    find("guides").addEventListener("toggle", () => this.#look());
    this.#input.onchange = () => {
      this.#receive(this.#waiting, [...this.#input.files]);
      this.#input.value = "";
    };
    if (this.#guides.length) find("guides").open = true;
    this.#draw();
  }

  /** Follows the model that paints. */
  adopt(model) {
    this.#checkpoint = model;
    this.#architecture = model.architecture ?? "";
    this.#look();
  }

  /** What the task under way is to take along: [{ parameter, entry, pictures }]. */
  get taken() {
    return this.#guides.map((guide) => ({ parameter: KINDS[guide.kind].parameter, entry: guide.entry(this.#architecture), pictures: [...guide.pictures] }));
  }

  /** The task's parameters as they are now; a picture that the server does not have yet is called GUIDE_IMAGE. */
  get parameters() {
    return withGuides({}, this.taken, (picture) => picture.uuid ?? "GUIDE_IMAGE");
  }

  /** The server has lost pictures: those that are here are sent again next time. */
  sendAgain() {
    for (const picture of this.#guides.flatMap(({ pictures }) => pictures)) if (picture.blob) picture.uuid = null;
  }

  /** Puts in those of a task. `records` are those that a run kept: [[record, ...], ...] by parameter. */
  set(parameters, records = {}) {
    this.#guides = Object.entries(KINDS).flatMap(([kind, { parameter, plain }]) => {
      // Of its reference images, a picture says only how many there were.
      const asked = Array.isArray(parameters[parameter]) ? parameters[parameter] : [];
      const entries = plain ? (asked.length ? [{ model: REFERENCE.air, guideImages: asked }] : []) : asked;
      return entries.map(({ model, guideImage, guideImages, ...values }, index) => {
        const kept = plain ? records[parameter]?.flat() : records[parameter]?.[index];
        const known = kept ?? [guideImages ?? guideImage ?? []].flat().map((uuid) => ({ uuid, url: "", name: "A guide image" }));
        return new Guide(kind, model, known.map((record) => new Photo(record)), values);
      });
    });
    if (this.#guides.length) find("guides").open = true;
    this.#changed();
    this.#look();
  }

  async #look() {
    if (!find("guides").open || !this.#checkpoint.air) return;
    this.#all ??= this.#search().catch(() => (this.#all = null));
    const all = (await this.#all) ?? [];
    const architecture = (this.#architecture ||= all.find(({ air }) => air === this.#checkpoint.air)?.architecture ?? "");
    const own = EDITORS.test(architecture) ? [REFERENCE] : [];
    this.#models = own.concat(all.filter((model) => model.category in KINDS && (!architecture || familyOf(model.architecture) === familyOf(architecture)) && (!model.onlyFor || model.onlyFor === this.#checkpoint.air)));
    this.#looked = all.length > 0;
    find("add-lora").disabled = !this.#choices(false).length;
    find("add-guide").disabled = !this.#choices(true).length;
    find("guides-hint").textContent = this.#models.length
      ? "What leads beside the prompt: a LoRA, or a picture, towards its style or what it shows."
      : `Nothing that is installed here leads this model${architecture ? ` (${architecture})` : ""}. A LoRA, an IP-Adapter or a ControlNet of its family would: underpaint models add.`;
    this.#draw();
  }

  /** The models by which pictures lead, or those that need none. */
  #choices(pictures) {
    return this.#models.filter(({ category }) => takesPictures(category) === pictures);
  }

  async #search() {
    const found = [];
    for (let total = 1; found.length < total; ) {
      const [item] = await this.#socket.ask({ taskType: "modelSearch", limit: PAGE, offset: found.length });
      found.push(...item.results);
      total = item.results.length ? item.totalResults : found.length;
    }
    return found;
  }

  #add([{ category, air, defaultWeight }]) {
    const first = KINDS[category].fields.filter((field) => "first" in field).map((field) => [field.name, field.first]);
    this.#guides.push(new Guide(category, air, [], { ...(defaultWeight !== undefined && { weight: defaultWeight }), ...Object.fromEntries(first) }));
    this.#changed();
    find(`guide-${this.#guides.length - 1}-${takesPictures(category) ? "choose" : "model"}`).focus();
  }

  #remove(guide) {
    this.#guides = this.#guides.filter((each) => each !== guide);
    this.#changed();
    find(takesPictures(guide.kind) ? "add-guide" : "add-lora").focus();
    announce("The guide is gone.");
  }

  async #receive(guide, files) {
    for (const file of files.slice(0, KINDS[guide.kind].most - guide.pictures.length)) {
      try {
        this.#take(guide, await photoOf(file, file.name || "The pasted picture"));
      } catch (error) {
        this.#showError({ message: error.message, parameters: [guide.place] });
      }
    }
  }

  #take(guide, picture) {
    guide.pictures.push(picture);
    this.#changed();
    announce(`${picture.name} leads now.`);
    // Its way to the server begins. An error comes again, and is shown, when it is needed.
    picture.stored(this.#socket).then(() => this.#keep(), () => {});
  }

  #keep() {
    remember("guides", this.#guides.length ? this.#guides.map((guide) => guide.record) : null);
  }

  #changed() {
    this.#keep();
    this.#draw();
  }

  #draw() {
    const focused = document.activeElement;
    const places = {};
    this.#list.replaceChildren(
      ...this.#guides.map((guide, index) => {
        const { parameter, plain } = KINDS[guide.kind];
        places[parameter] = (places[parameter] ?? -1) + 1;
        guide.place = plain ? parameter : `${parameter}[${places[parameter]}]`;
        return this.#card(guide, index);
      }),
    );
    find("guides-count").textContent = this.#guides.length ? String(this.#guides.length) : "";
    const anew = focused?.id.startsWith("guide-") ? find(focused.id) : null;
    // What somebody types into stays the same element: a new one would not know what is selected in it.
    const typed = anew && this.#guideOf.has(focused) && this.#guideOf.get(focused) === this.#guideOf.get(anew);
    if (typed) anew.closest(".guide-field").replaceWith(focused.closest(".guide-field"));
    (typed ? focused : anew)?.focus();
  }

  #card(guide, index) {
    const id = `guide-${index}`;
    const parts = [
      el("div", { class: "line" }, this.#modelField(guide, index), el("button", { type: "button", class: "quiet icon", title: "Take it away", ariaLabel: `Take guide ${index + 1} away`, onclick: () => this.#remove(guide) }, icon("trash"))),
      el("p", { class: "hint", id: `${id}-hint` }, this.#hint(guide)),
      takesPictures(guide.kind) && this.#zone(guide, index),
      KINDS[guide.kind].map && this.#mapMaker(guide, index),
      ...guide.fields(this.#architecture).map((field) => this.#field(guide, field, `${id}-${field.name}`, `${guide.place}.${field.name}`)),
      el("p", { class: "error", hidden: true }),
    ];
    return el("li", { class: "field guide", "data-parameter": guide.place }, ...parts.filter(Boolean));
  }

  #hint({ kind, model }) {
    const { comment, positiveTriggerWords: words } = this.#models.find(({ air }) => air === model) ?? {};
    const own = takesPictures(kind) ? "" : comment; // what pictures do is told by the kind
    return [own || KINDS[kind].hint, words && `Put into the prompt: ${words}.`].filter(Boolean).join(" ");
  }

  /** Has the server make the map that a ControlNet follows, of the photo. */
  #mapMaker(guide, index) {
    const { conditioning } = this.#models.find(({ air }) => air === guide.model) ?? {};
    const select = el("select", { id: `guide-${index}-map`, ariaLabel: `Kind of the map of guide ${index + 1}` }, ...PREPROCESSORS.map((type) => el("option", {}, type)));
    select.value = PREPROCESSORS.includes(conditioning) ? conditioning : PREPROCESSORS[0];
    const make = async () => {
      button.disabled = true;
      try {
        const photo = this.#photo();
        const inputImage = await photo.stored(this.#socket);
        const [map] = await this.#socket.ask({ taskType: "controlNetPreprocess", preProcessorType: select.value, inputImage, outputFormat: "PNG" });
        guide.pictures = [];
        const { width, height } = photo;
        this.#take(guide, new Photo({ uuid: map.guideImageUUID, url: map.guideImageURL, name: `The ${select.value} map`, width, height }));
      } catch (error) {
        button.disabled = false;
        this.#showError({ message: error.message, parameters: [guide.place] });
      }
    };
    const button = el("button", { type: "button", class: "small", id: `guide-${index}-make`, onclick: make }, "Map of the photo");
    const hint = el("p", { class: "hint", id: `guide-${index}-map-hint` }, "What the ControlNet was trained with: canny has edges, depth distances, openpose people.");
    select.setAttribute("aria-describedby", hint.id);
    return el("div", {}, el("div", { class: "line" }, select, button), hint);
  }

  #modelField(guide, index) {
    const known = this.#models.some(({ air }) => air === guide.model);
    const groups = Object.entries(KINDS).map(([kind, { title }]) => {
      const options = this.#choices(takesPictures(guide.kind)).filter(({ category }) => category === kind).map(({ air, name }) => el("option", { value: air }, named(air, name)));
      return options.length ? el("optgroup", { label: title }, ...options) : null;
    });
    const select = el("select", { id: `guide-${index}-model`, ariaLabel: `Model of guide ${index + 1}`, "aria-describedby": `guide-${index}-hint` }, ...groups.filter(Boolean), known ? null : el("option", { value: guide.model }, named(guide.model) + (this.#looked ? ", not for this model" : "")));
    select.value = guide.model;
    select.addEventListener("change", () => {
      const { category = guide.kind, defaultWeight } = this.#models.find(({ air }) => air === select.value) ?? {};
      const values = takesPictures(category) ? guide.values : { weight: defaultWeight };
      Object.assign(guide, new Guide(category, select.value, guide.pictures.slice(0, KINDS[category].most), values));
      this.#changed();
    });
    return select;
  }

  /** The pictures of a guide, and where more of them are dropped, pasted and chosen. */
  #zone(guide, index) {
    const room = guide.pictures.length < KINDS[guide.kind].most;
    const choose = el("button", { type: "button", class: "tile-button", id: `guide-${index}-choose`, hidden: !room, onclick: () => {
      this.#waiting = guide;
      this.#input.click();
    } }, icon("image"), guide.pictures.length ? "Another" : "Drop, paste or choose a picture");
    const earlier = el("button", { type: "button", class: "quiet small", id: `guide-${index}-earlier`, hidden: !room, onclick: () =>
      this.#pick("Choose the picture that is to lead", ({ imageUUID: uuid, url, parameters: { positivePrompt: name, width, height } }) => this.#take(guide, new Photo({ uuid, url, name, width, height }))),
    }, "One of yours");
    const thumbs = guide.pictures.map((picture) => {
      const words = `Take ${picture.name} away`;
      return el("button", { type: "button", class: "guide-picture", title: words, ariaLabel: words, onclick: () => {
        guide.pictures = guide.pictures.filter((each) => each !== picture);
        this.#changed();
        find(`guide-${index}-choose`).focus();
      } }, el("img", { src: picture.url || "data:,", alt: "" }), icon("close"));
    });
    const own = KINDS[guide.kind].plain && el("button", { type: "button", class: "quiet small", id: `guide-${index}-photo`, hidden: !room, onclick: () => this.#take(guide, this.#photo()) }, "The photo");
    const zone = el("div", { class: "guide-zone", role: "group", ariaLabel: `Pictures of guide ${index + 1}` }, ...thumbs, choose, own || null, earlier);
    zone.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      event.stopPropagation(); // it is not the photo
      this.#receive(guide, [...event.dataTransfer.files]);
    });
    zone.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files].filter(({ type }) => type.startsWith("image/"));
      if (!files.length) return;
      event.preventDefault();
      event.stopPropagation();
      this.#receive(guide, files);
    });
    return zone;
  }

  #field(guide, { name, label, range, options, hint }, id, place) {
    const hinted = el("p", { class: "hint", id: `${id}-hint` }, hint);
    const take = (value) => {
      guide.values[name] = value;
      this.#keep();
    };
    const whole = (...parts) => el("div", { class: "field guide-field", "data-parameter": place }, ...parts, hinted, el("p", { class: "error", hidden: true }));
    if (options) {
      const select = el("select", { id, "aria-describedby": hinted.id }, ...options.map((option) => el("option", { value: option }, option)));
      select.value = guide.values[name];
      select.addEventListener("change", () => {
        take(select.value);
        this.#draw(); // another field may have become worth asking
      });
      return whole(el("div", { class: "line" }, el("label", { for: id }, label), select));
    }
    const [min, max, step] = range;
    const number = el("input", { type: "number", class: "number", id: `${id}-number`, min, max, step, value: guide.values[name], ariaLabel: `${label}, as a number` });
    this.#guideOf.set(number, guide);
    const slider = el("input", { type: "range", id, min, max, step, value: guide.values[name], "aria-describedby": hinted.id });
    const fill = () => slider.style.setProperty("--fill", `${(100 * (slider.value - min)) / (max - min)}%`);
    slider.addEventListener("input", () => {
      number.value = slider.value;
      take(slider.valueAsNumber);
      fill();
    });
    number.addEventListener("input", () => {
      if (number.value === "") return;
      slider.value = number.value;
      take(number.valueAsNumber); // the server says what is wrong with it
      fill();
    });
    fill();
    return whole(el("div", { class: "line" }, el("label", { for: id }, label), number), slider);
  }
}

function revived({ kind, model, pictures, values }) {
  return new Guide(kind, model, pictures.map((record) => new Photo(record)), values);
}

function named(air, name) {
  return air === REFERENCE.air ? REFERENCE.name : name ? `${name} (${air})` : air;
}

/** A task with its guides: `name(picture)` is how each of their pictures is called in it. */
export function withGuides(task, taken, name) {
  const lists = {};
  for (const { parameter, entry, pictures } of taken) {
    const names = pictures.map(name);
    if (!entry) {
      if (names.length) (lists[parameter] ??= []).push(...names);
      continue;
    }
    const images = names.length > 1 ? { guideImages: names } : names.length ? { guideImage: names[0] } : {};
    (lists[parameter] ??= []).push({ ...entry, ...images });
  }
  return { ...task, ...lists };
}
