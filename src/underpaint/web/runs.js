// Tasks under way, and the records of what came out.

import { withGuides } from "./guides.js";
import { history } from "./storage.js";
import { newUUID } from "./wire.js";

/**
 * One task from the moment it was asked for. Fires "progress" while it runs. `pictures` says for each of its pictures how
 * far it is: { status, step, steps, position, secondsLeft, preview }.
 */
export class Run extends EventTarget {
  constructor(task, source, { mask = null, guides = null, sheet = null, made = Date.now() } = {}) {
    super();
    Object.assign(this, { task, source, mask, guides, sheet, made, results: null, error: null });
    this.pictures = Array.from({ length: task.numberResults ?? 1 }, () => ({ status: "sending" }));
  }

  get ratio() {
    return this.task.width / this.task.height || 1.5;
  }

  progress(item) {
    if (item.percent !== undefined || item.resultIndex === undefined) {
      // getResponse speaks of the task as a whole.
      for (const picture of this.pictures) Object.assign(picture, { status: "running", percent: item.percent, secondsLeft: item.secondsLeft });
    } else {
      const { previewDataURI, resultIndex, status, step, steps, position, secondsLeft } = item;
      const picture = this.pictures[resultIndex];
      if (!picture) return;
      Object.assign(picture, { status, step, steps, position, secondsLeft, percent: steps ? (100 * step) / steps : 0 });
      if (previewDataURI) picture.preview = previewDataURI;
    }
    this.dispatchEvent(new Event("progress"));
  }
}

/** How far a picture is, in words. */
export function stateWords({ status, step, steps, position, secondsLeft, percent }) {
  const left = secondsLeft >= 1 ? ` · about ${Math.round(secondsLeft)} s left` : "";
  if (status === "sending") return "Sending";
  if (status === "queued") return (position ? `${position} before it in the queue` : "Next in the queue") + left;
  if (status === "loading") return `Loading the model${left}`;
  if (steps) return `Step ${step} of ${steps}${left}`;
  return percent === undefined ? "Painting" : `${Math.round(percent)} %${left}`;
}

/** Runs tasks, and writes results into the history. Fires "change" when a run begins or ends. */
export class Runs extends EventTarget {
  active = new Set();
  #socket;

  constructor(socket) {
    super();
    this.#socket = socket;
  }

  /**
   * A run of these parameters from this photo. `finished` of the run is a promise of its results; it throws TaskError, or the
   * Error of a file that cannot be read.
   */
  start(parameters, photo, { mask = null, guides = [], sheet = null, patient = false } = {}) {
    const task = { taskType: "imageInference", taskUUID: newUUID(), ...parameters, previews: true };
    const run = new Run(task, photo.record ?? { url: photo.url, name: photo.name }, { sheet });
    const stored = async () => {
      task.seedImage = await photo.stored(this.#socket);
      if (mask) task.maskImage = await mask.stored(this.#socket);
      await Promise.all(guides.flatMap(({ pictures }) => pictures).map((picture) => picture.stored(this.#socket)));
      Object.assign(task, withGuides({}, guides, (picture) => picture.uuid));
      if (guides.length) run.guides = recordsOf(guides);
      run.source = photo.record;
      run.mask = mask?.record ?? null;
      if (!run.cancelled) history.begin({ task, source: run.source, mask: run.mask, guides: run.guides, sheet, made: run.made });
    };
    run.finished = this.#finish(run, stored, { patient });
    return run;
  }

  /** Goes on with what an earlier page, or this one before a reload, waited for. */
  resume() {
    return history.pending().map(({ task, source, mask, guides, sheet, made }) => {
      const run = new Run(task, source, { mask, guides, sheet, made });
      run.finished = this.#finish(run, async () => {}, { sentBefore: true });
      return run;
    });
  }

  cancel(run) {
    run.cancelled = true;
    return this.#socket.cancel(run.task.taskUUID).catch(() => {});
  }

  async #finish(run, stored, options) {
    this.active.add(run);
    this.dispatchEvent(new Event("change"));
    try {
      await stored();
      if (run.cancelled) throw Object.assign(new Error("Cancelled."), { code: "taskCancelled" });
      const items = await this.#socket.infer(run.task, { ...options, onProgress: (item) => run.progress(item) });
      run.results = items.map((item) => resultOf(item, run));
      history.add(run.results);
      return run.results;
    } catch (error) {
      run.error = error;
      throw error;
    } finally {
      history.end(run.task.taskUUID);
      this.active.delete(run);
      this.dispatchEvent(new Event("change"));
    }
  }
}

/** What is kept of the pictures of guides, by the parameter and the entry of it to which they belong. */
function recordsOf(guides) {
  const records = {};
  for (const { parameter, pictures } of guides) (records[parameter] ??= []).push(pictures.map((picture) => picture.record));
  return records;
}

/** What the history keeps: a result, what made it, and what it was made from. */
function resultOf(item, run) {
  const { taskUUID, taskType, previews, numberResults, ...parameters } = run.task;
  return {
    imageUUID: item.imageUUID,
    url: item.imageURL,
    seed: String(item.seed),
    steps: item.effectiveSteps,
    parameters: { ...parameters, seed: String(item.seed) },
    source: run.source,
    taskUUID,
    made: run.made,
    ...(run.mask && { mask: run.mask }),
    ...(run.guides && { guides: run.guides }),
    ...(run.sheet && { sheet: run.sheet }),
  };
}
