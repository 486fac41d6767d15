// The playground: puts the parts of the page together.

import { codeDialog, keyDialog } from "./dialogs.js";
import { announce, counted, el, find, notify } from "./dom.js";
import { Guides } from "./guides.js";
import { keyRing } from "./keys.js";
import { ModelPicker } from "./models.js";
import { Photo, photoOf, receivePhotos } from "./photo.js";
import { Runs } from "./runs.js";
import { Settings } from "./settings.js";
import { MaskPainter } from "./mask.js";
import { parametersOf } from "./metadata.js";
import { chainOf } from "./passes.js";
import { sheetDialog } from "./sheetdialog.js";
import { AXES, newSeed, Sheet } from "./sheets.js";
import { Outpainter } from "./outpainter.js";
import { Shelf } from "./shelf.js";
import { FITS, Stage } from "./stage.js";
import { history, recall, remember } from "./storage.js";
import { TaskSocket } from "./socket.js";
import { TaskError } from "./wire.js";

const base = new URL("./", location.href);
const socket = new TaskSocket(Object.assign(new URL(base), { protocol: base.protocol.replace("http", "ws") }).href, keyRing.key);
const runs = new Runs(socket);
const settings = new Settings();
const shelf = new Shelf(choose, repeatPasses);
const stage = new Stage({ cancel: (run) => runs.cancel(run), useAsPhoto, useSettings, compareWith, show, showSheet });
const guides = new Guides(socket, { pick: (words, picked) => shelf.pick(words, picked), showError: (error) => settings.showError(error), photo: () => photo });
const models = new ModelPicker(socket, (model, before) => {
  settings.adopt(model, { keepValues: before || remembered });
  guides.adopt(model);
});
const remembered = recall("settings", null) !== null && recall("photo", null) !== null;
let photo = null;
let mask = null; // of this photo, a Photo of its own
const sheetsUnderWay = new Map();

// The photo

async function example() {
  const blob = await (await fetch("web/example.jpg")).blob();
  return Object.assign(await photoOf(blob, "The example photo"), { isExample: true });
}

function setPhoto(next, { keepSize = false, hint, maskImage = null } = {}) {
  photo = next;
  setMask(maskImage);
  find("photo-thumbnail").src = next.url;
  find("photo-name").textContent = next.name;
  find("photo-hint").textContent = hint ?? (next.isExample ? "Drop, paste or choose a photo of yours." : `${next.width} × ${next.height}`);
  settings.clearError(document.querySelector(".photo"));
  settings.suit(next.ratio, { keepSize });
  keepPhoto();
}

/** Remembers photo and mask across a reload, by the names that the server has for them. */
function keepPhoto() {
  remember("photo", photo.record ?? (photo.isExample ? { isExample: true } : null));
  remember("mask", mask?.record ?? null);
}

function setMask(next) {
  mask = next;
  const button = find("mask-button");
  button.setAttribute("aria-pressed", String(mask !== null));
  button.lastElementChild.textContent = mask ? "Masked" : "Mask";
  settings.followMask(mask !== null);
}

function paintMask() {
  const done = (painted) => {
    setMask(painted && new Photo({ ...painted, name: "The mask" }));
    showPhoto(painted ? "Only the marked part will be painted anew." : null);
    find("paint").focus();
    mask?.stored(socket).then(keepPhoto, () => {}); // an error comes again, and is shown, when it is needed
    keepPhoto();
  };
  stage.showPainter(new MaskPainter(photo, mask, done));
  lookAtStage();
  drawShelf();
}

/** The photo, with handles where it is continued beyond its sides. */
function showPhoto(caption) {
  if (settings.read().outpaint) stage.showOutpainter(outpainter());
  else stage.showPhoto(photo, caption, mask);
  drawShelf();
}

function outpainter() {
  const done = () => {
    stage.showPhoto(photo, null, mask);
    find("outpaint-button").focus();
  };
  return new Outpainter(photo, settings, { fit: () => FITS[settings.read().fit] ?? "cover", done });
}

function dragOutpaint() {
  const view = outpainter();
  stage.showOutpainter(view);
  lookAtStage();
  drawShelf();
  view.focus();
}

/** After every change of the form, by hand or not. */
function followForm() {
  const { outpaint } = settings.read();
  find("outpaint-button").setAttribute("aria-pressed", String(outpaint !== undefined));
  if (stage.shown instanceof Outpainter) stage.shown.draw();
  else if (outpaint && photo && stage.shown === photo && document.activeElement.closest("#outpaint-field")) showPhoto();
}

/** What a picture that Underpaint made says about itself is offered. */
async function offerParameters(file) {
  const parameters = await parametersOf(file);
  if (!parameters?.positivePrompt) return;
  const use = () => {
    notify(null);
    settings.setAll(parameters);
    guides.set(parameters);
    models.choose(parameters.model);
    find("positivePrompt").focus();
  };
  const button = el("button", { type: "button", class: "small", id: "use-metadata", onclick: use }, "Use its settings");
  notify(`Underpaint made this picture: “${String(parameters.positivePrompt).slice(0, 120)}”.`, { friendly: true, button });
}

async function receive(file, name) {
  try {
    setPhoto(await photoOf(file, name));
  } catch (error) {
    return settings.showError({ message: error.message, parameters: ["seedImage"] });
  }
  notify(null);
  showPhoto();
  announce(`${photo.name} is the photo now.`);
  offerParameters(file);
  // Its way to the server begins while the prompt is written. An error comes again, and is shown, when it is needed.
  const sent = photo;
  await sent.stored(socket).then(() => sent === photo && keepPhoto(), () => {});
}

function photoOfResult({ imageUUID: uuid, url, parameters: { positivePrompt, width, height } }, name = positivePrompt) {
  return new Photo({ uuid, url, name, width, height });
}

function useAsPhoto(result) {
  const pass = chainOf(history.all(), result).length;
  settings.set({ outpaint: null }); // it is in the picture now
  setPhoto(photoOfResult(result, `Pass ${pass}`), { keepSize: true, hint: result.parameters.positivePrompt });
  showPhoto(`Pass ${pass + 1} starts from here. Change the prompt, then paint.`);
  find("positivePrompt").focus();
  find("positivePrompt").select();
}

// Painting

/** Whoever paints while a mask is being marked means that mask. */
async function finishMask() {
  if (stage.shown instanceof MaskPainter) await stage.shown.finish();
}

async function paint() {
  settings.clearErrors();
  await finishMask();
  const run = runs.start({ model: models.air, ...settings.read() }, photo, { mask, guides: guides.taken });
  const before = stage.shown;
  stage.showRun(run);
  lookAtStage();
  drawShelf();
  await follow(run, before);
}

/** Shows what becomes of a run, unless something else is looked at by then. */
async function follow(run, before) {
  try {
    const results = await run.finished;
    settings.showSeed(results[0].seed);
    if (stage.shown === run) stage.showResults(results);
    keepPhoto();
  } catch (error) {
    if (stage.shown === run) show(before ?? photo);
    if (error.code === "taskCancelled") announce("Cancelled.");
    else settings.showError(asShown(error));
  }
  drawShelf();
}

async function paintSheet(axes) {
  settings.clearErrors();
  await finishMask();
  const sheet = new Sheet(axes);
  // One seed for all, so that nothing else differs.
  const parameters = { model: models.air, seed: newSeed(), ...settings.read() };
  const cells = sheet.plan(parameters).map((cell) => runs.start(cell.parameters, photo, { mask, guides: guides.taken, sheet: cell.place, patient: true }));
  cells.forEach((run) => sheet.put(run));
  stage.showSheet(sheet);
  lookAtStage();
  drawShelf();
  await followSheet(sheet, cells);
}

async function followSheet(sheet, cells) {
  sheetsUnderWay.set(sheet.id, sheet);
  const changed = () => sheet.changed?.();
  const each = cells.map(async (run) => {
    run.addEventListener("progress", changed);
    await run.finished.then(([result]) => sheet.put(result)).finally(changed);
  });
  const outcomes = await Promise.allSettled(each);
  const failed = outcomes.find(({ reason }) => reason && reason.code !== "taskCancelled");
  if (failed) settings.showError(asShown(failed.reason));
  else announce("The sheet is finished.");
  sheetsUnderWay.delete(sheet.id);
  keepPhoto();
  drawShelf();
}

/** Paints later passes again, each over the one before it. */
async function repeatPasses(result, later) {
  let last = result;
  for (const { seedImage, maskImage, taskType, ...parameters } of later) {
    const run = runs.start(parameters, photoOfResult(last), { mask: maskOf({ parameters: { maskImage, ...parameters } }) });
    stage.showRun(run);
    await follow(run, last);
    if (run.error) return;
    [last] = run.results;
  }
}

/** An upload's `image` is the form's seedImage; errors that are no TaskError concern the photo, too. */
function asShown(error) {
  if (!(error instanceof TaskError)) return { message: error.message, parameters: ["seedImage"] };
  if (error.parameters.includes("image")) error.parameters.push("seedImage");
  if (error.code === "mediaNotFound") {
    for (const each of [photo, mask]) if (each?.blob) each.uuid = null; // it is sent again next time
    guides.sendAgain();
  }
  return error;
}

// Looking

function show(item) {
  if (item instanceof Sheet) return showSheet(item.id);
  if (item.task) stage.showRun(item);
  else if (item.imageUUID) stage.showResult(item);
  else if (item === photo || item instanceof Outpainter) return showPhoto();
  else stage.showPhoto(item);
  drawShelf();
}

function showSheet(id) {
  stage.showSheet(sheetsUnderWay.get(id) ?? Sheet.gather(id, history.all(), []));
  drawShelf();
}

function choose(item) {
  if (item.photo) return show(new Photo(item.photo));
  show(item);
  lookAtStage();
}

/** Where the stage is not beside the rest, it comes into view. */
function lookAtStage() {
  if (matchMedia("(max-width: 900px)").matches) find("stage").scrollIntoView({ block: "start" });
}

function compareWith(result) {
  if (history.all().length < 2) return notify("Paint another picture first, to compare with.", { friendly: true });
  shelf.pick("Choose the picture to compare with", (other) => {
    stage.showBeside(result, other);
    find("stage").scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
}

function useSettings(result) {
  shelf.passes.change(result);
  settings.setAll(result.parameters);
  guides.set(result.parameters, result.guides);
  models.choose(result.parameters.model);
  if (result.source?.uuid) setPhoto(new Photo(result.source), { keepSize: true, maskImage: maskOf(result) });
  announce("Its settings are in the form.");
  find("positivePrompt").focus();
}

/** The mask that a result was made with. */
function maskOf({ mask: record, parameters: { maskImage, width, height } }) {
  if (!maskImage) return null;
  return new Photo(record?.uuid === maskImage ? record : { uuid: maskImage, url: "", name: "The mask", width, height });
}

function drawShelf() {
  shelf.draw(runs.active, stage.shown);
}

// The page around it

const WORDS = { connecting: "Connecting", waiting: "Reconnecting", refused: "A key is needed" };

function drawStatus() {
  const status = find("status");
  status.dataset.state = socket.state;
  status.textContent = WORDS[socket.state] ?? (runs.active.size ? `Painting ${counted(runs.active.size, "task")}` : "Ready");
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark === "dark" ? "light" : "dark";
  remember("theme", document.documentElement.dataset.theme);
}

async function start() {
  find("theme-button").onclick = switchTheme;
  find("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    if (photo) paint();
  });
  receivePhotos({ overlay: find("dropping"), input: find("photo-file"), button: find("choose-photo"), onFile: receive });
  find("sweep-button").onclick = () => paintSheet({ x: { axis: "strength", values: AXES.strength.values } });
  sheetDialog(paintSheet);
  const program = () => ({
    parameters: { model: models.air, ...settings.read(), ...(mask && { maskImage: mask.uuid ?? "MASK_IMAGE" }), ...guides.parameters },
    seedImage: photo?.uuid ?? "SEED_IMAGE",
    base,
    key: keyRing.given ? "YOUR_KEY" : "local",
  });
  codeDialog(program, async () => photo?.stored(socket));
  keyDialog(socket);
  find("mask-button").onclick = paintMask;
  find("outpaint-button").onclick = dragOutpaint;
  settings.onChange(followForm);
  socket.addEventListener("state", drawStatus);
  runs.addEventListener("change", () => {
    drawStatus();
    drawShelf();
  });
  history.watch(drawShelf);
  drawStatus();

  const kept = recall("photo", null);
  const keptMask = recall("mask", null);
  setPhoto(kept?.uuid ? new Photo(kept) : await example(), { keepSize: remembered, maskImage: keptMask && new Photo(keptMask) });
  const newest = history.all()[0];
  if (newest && newest.source?.uuid === photo.uuid) stage.showResult(newest);
  else showPhoto(photo.isExample ? "An example. Drop, paste or choose a photo of yours." : null);
  resume();
  drawShelf();
  performance.mark("usable"); // the photo is there, and whatever is pressed does something
  await models.start().catch((error) => settings.showError({ message: error.message, parameters: ["model"] }));
}

/** Goes on with what was under way before a reload. */
function resume() {
  const resumed = runs.resume();
  for (const run of resumed.filter((each) => !each.sheet)) {
    stage.showRun(run);
    follow(run, photo);
  }
  for (const id of new Set(resumed.flatMap((run) => run.sheet?.id ?? []))) {
    const cells = resumed.filter((run) => run.sheet?.id === id);
    const sheet = Sheet.gather(id, history.all(), cells);
    followSheet(sheet, cells);
    stage.showSheet(sheet);
  }
}

start();
