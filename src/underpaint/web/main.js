// The playground: puts the parts of the page together.

import { codeDialog, keyDialog, keyRing } from "./dialogs.js";
import { announce, counted, find, notify } from "./dom.js";
import { ModelPicker } from "./models.js";
import { Photo, photoOf, receivePhotos } from "./photo.js";
import { Runs } from "./runs.js";
import { Settings } from "./settings.js";
import { chainOf, Shelf } from "./shelf.js";
import { Stage } from "./stage.js";
import { history, recall, remember } from "./storage.js";
import { TaskSocket } from "./socket.js";
import { TaskError } from "./wire.js";

const base = new URL("./", location.href);
const socket = new TaskSocket(Object.assign(new URL(base), { protocol: base.protocol.replace("http", "ws") }).href, keyRing.key);
const runs = new Runs(socket);
const settings = new Settings();
const shelf = new Shelf(choose);
const stage = new Stage({ cancel: (run) => runs.cancel(run), useAsPhoto, useSettings, compareWith, show });
const models = new ModelPicker(socket, (model, before) => settings.adopt(model, { keepValues: before || remembered }));
let remembered = recall("settings", null) !== null && recall("photo", null) !== null;
let photo = null;

// The photo

async function example() {
  const blob = await (await fetch("web/example.jpg")).blob();
  return Object.assign(await photoOf(blob, "The example photo"), { isExample: true });
}

function setPhoto(next, { keepSize = false, hint } = {}) {
  photo = next;
  find("photo-thumbnail").src = next.url;
  find("photo-name").textContent = next.name;
  find("photo-hint").textContent = hint ?? (next.isExample ? "Drop, paste or choose a photo of yours." : `${next.width} × ${next.height}`);
  settings.clearError(document.querySelector(".photo"));
  settings.suit(next.ratio, { keepSize });
  remember("photo", next.record);
}

async function receive(file, name) {
  try {
    setPhoto(await photoOf(file, name));
  } catch (error) {
    return settings.showError({ message: error.message, parameters: ["seedImage"] });
  }
  notify(null);
  stage.showPhoto(photo);
  drawShelf();
  announce(`${photo.name} is the photo now.`);
  // Its way to the server begins while the prompt is written. An error comes again, and is shown, when it is needed.
  const sent = photo;
  await sent.stored(socket).then(() => sent === photo && remember("photo", sent.record), () => {});
}

function useAsPhoto(result) {
  const { width, height } = result.parameters;
  const pass = chainOf(history.all(), result).length;
  setPhoto(new Photo({ uuid: result.imageUUID, url: result.url, name: `Pass ${pass}`, width, height }), {
    keepSize: true,
    hint: result.parameters.positivePrompt,
  });
  stage.showPhoto(photo, `Pass ${pass + 1} starts from here. Change the prompt, then paint.`);
  drawShelf();
  find("positivePrompt").focus();
  find("positivePrompt").select();
}

// Painting

async function paint() {
  settings.clearErrors();
  const run = runs.start({ model: models.air, ...settings.read() }, photo);
  const before = stage.shown;
  stage.showRun(run);
  drawShelf();
  await follow(run, before);
}

/** Shows what becomes of a run, unless something else is looked at by then. */
async function follow(run, before) {
  try {
    const results = await run.finished;
    settings.showSeed(results[0].seed);
    if (stage.shown === run) stage.showResults(results);
    remember("photo", photo?.record ?? null);
  } catch (error) {
    if (stage.shown === run) show(before ?? photo);
    if (error.code === "taskCancelled") announce("Cancelled.");
    else settings.showError(asShown(error));
  }
  drawShelf();
}

/** An upload's `image` is the form's seedImage; errors that are no TaskError concern the photo, too. */
function asShown(error) {
  if (!(error instanceof TaskError)) return { message: error.message, parameters: ["seedImage"] };
  if (error.parameters.includes("image")) error.parameters.push("seedImage");
  if (error.code === "mediaNotFound" && photo.blob) photo.uuid = null; // it is sent again next time
  return error;
}

// Looking

function show(item) {
  if (item.task) stage.showRun(item);
  else if (item.imageUUID) stage.showResult(item);
  else stage.showPhoto(item);
  drawShelf();
}

function choose(item) {
  if (item.photo) return show(new Photo(item.photo));
  show(item);
  if (innerWidth <= 900) find("stage").scrollIntoView({ behavior: "smooth" });
}

function compareWith(result) {
  if (history.all().length < 2) return notify("Paint another picture first, to compare with.", { friendly: true });
  shelf.pick("Choose the picture to compare with", (other) => {
    stage.showBeside(result, other);
    find("stage").scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
}

function useSettings(result) {
  settings.setAll(result.parameters);
  models.choose(result.parameters.model);
  if (result.source?.uuid) setPhoto(new Photo(result.source), { keepSize: true });
  announce("Its settings are in the form.");
  find("positivePrompt").focus();
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
  codeDialog(() => ({
    parameters: { model: models.air, ...settings.read() },
    seedImage: photo?.uuid ?? "SEED_IMAGE",
    base,
    key: keyRing.given ? "YOUR_KEY" : "local",
  }));
  keyDialog(socket);
  socket.addEventListener("state", drawStatus);
  runs.addEventListener("change", () => {
    drawStatus();
    drawShelf();
  });
  history.watch(drawShelf);
  drawStatus();

  const kept = recall("photo", null);
  setPhoto(kept ? new Photo(kept) : await example(), { keepSize: remembered });
  const newest = history.all()[0];
  if (newest && newest.source?.uuid === photo.uuid) stage.showResult(newest);
  else stage.showPhoto(photo, photo.isExample ? "An example. Drop, paste or choose a photo of yours." : null);
  for (const run of runs.resume()) {
    stage.showRun(run);
    follow(run, photo);
  }
  drawShelf();
  await models.start().catch((error) => settings.showError({ message: error.message, parameters: ["model"] }));
}

start();
