// The task API over one WebSocket: authentication, ping, tasks, progress, and coming back after a loss.
//
// A task belongs to the server from the moment it was accepted. After a lost connection, and after a restart of the server,
// what was under way is asked for with getResponse; what the server does not know is sent again under its taskUUID.

import { decode, encode, newUUID, TaskError } from "./wire.js";

const PING_INTERVAL_MS = 30_000; // the server lets go after 120 s of silence
const PONG_LIMIT_MS = 10_000;
const CONNECT_LIMIT_MS = 10_000;
const BACKOFF_MS = [200, 500, 1000, 2000, 4000];
const POLL_PAUSE_MS = 500; // the server holds each poll for up to 25 s by itself
const BUSY_PAUSE_MS = 1000;
const COMES_BACK = new Set(["serviceUnavailable", "noAvailableServer"]);

/**
 * Fires "state" when `state` changes: "connecting", "ready", "waiting" (lost, and about to try again) or "refused" (a key is
 * needed; `refusal` says why).
 */
export class TaskSocket extends EventTarget {
  state = "connecting";
  refusal = "";
  #url;
  #key;
  #socket = null;
  #session = null;
  #calls = new Map(); // by taskUUID
  #losses = 0;
  #timers = {};
  #heardAt = 0;

  constructor(url, key) {
    super();
    this.#url = url;
    this.#key = key;
    addEventListener("online", () => this.state === "waiting" && this.#open());
    this.#open();
  }

  /** Try again with another key. */
  useKey(key) {
    this.#key = key;
    this.#session = null;
    this.#open();
  }

  /** Sends a task that is answered once, and answers with the items of its answer. Throws TaskError. */
  ask(task) {
    return this.#call({ task: { taskUUID: newUUID(), ...task } });
  }

  /**
   * Has pictures made. Answers with one item for each of them; `onProgress` gets items of progress meanwhile. Throws TaskError.
   * A task that was `sentBefore`, by this page or by an earlier one, is asked for instead of sent.
   */
  infer(task, { onProgress = () => {}, sentBefore = false, patient = false } = {}) {
    return this.#call({ task, onProgress, pictures: new Map(), accepted: sentBefore, patient });
  }

  /** Ends a task before it is finished; its own call then ends with `taskCancelled`. */
  cancel(taskUUID) {
    return this.ask({ taskType: "cancelTask", taskUUID });
  }

  #call(call) {
    return new Promise((resolve, reject) => {
      // cancelTask goes by the taskUUID of the task that it ends, so that task's own call stays where it is.
      const name = call.task.taskType === "cancelTask" ? `cancel ${call.task.taskUUID}` : call.task.taskUUID;
      Object.assign(call, { resolve, reject, name });
      this.#calls.set(name, call);
      if (this.state === "ready") this.#begin(call);
    });
  }

  #begin(call) {
    if (call.pictures && call.accepted) this.#poll(call);
    else {
      call.accepted = true;
      this.#send(call.task);
    }
  }

  #poll(call) {
    this.#send({ taskType: "getResponse", taskUUID: call.task.taskUUID });
  }

  #later(call, pause, what) {
    setTimeout(() => {
      // Where the connection is gone by then, coming back begins every call anew.
      if (this.#calls.get(call.name) === call && this.state === "ready") what();
    }, pause);
  }

  #send(task) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encode([task]));
  }

  #open() {
    this.#drop();
    this.#become("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timers.connect = setTimeout(() => this.#lost(socket), CONNECT_LIMIT_MS);
    socket.onopen = () => {
      const resumed = this.#session ? { connectionSessionUUID: this.#session } : {};
      this.#send({ taskType: "authentication", apiKey: this.#key, ...resumed });
    };
    socket.onmessage = (event) => {
      this.#heardAt = performance.now();
      this.#read(decode(event.data));
    };
    socket.onclose = () => this.#lost(socket);
  }

  #drop() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #lost(socket) {
    if (socket !== this.#socket || this.state === "refused") return;
    this.#drop();
    this.#become("waiting");
    const pause = BACKOFF_MS[Math.min(this.#losses++, BACKOFF_MS.length - 1)];
    this.#timers.reconnect = setTimeout(() => this.#open(), pause);
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #ping(socket) {
    this.#timers.ping = setTimeout(() => {
      const askedAt = performance.now();
      this.#send({ taskType: "ping", ping: true });
      this.#timers.pong = setTimeout(() => (this.#heardAt < askedAt ? this.#lost(socket) : this.#ping(socket)), PONG_LIMIT_MS);
    }, PING_INTERVAL_MS);
  }

  #read(frame) {
    for (const item of frame.progress ?? []) this.#calls.get(item.taskUUID)?.onProgress?.(item);
    for (const item of frame.errors ?? []) this.#failed(item);
    const items = frame.data ?? [];
    if (items[0]?.taskType === "authentication") this.#authenticated(items[0]);
    else if (items[0]?.taskType === "cancelTask") this.#finish(this.#calls.get(`cancel ${items[0].taskUUID}`), items);
    else if (items[0]?.taskUUID) this.#answered(this.#calls.get(items[0].taskUUID), items);
  }

  #authenticated(item) {
    clearTimeout(this.#timers.connect);
    this.#session = item.connectionSessionUUID;
    this.#losses = 0;
    this.#become("ready");
    this.#ping(this.#socket);
    for (const call of this.#calls.values()) this.#begin(call);
  }

  #answered(call, items) {
    if (!call) return;
    if (!call.pictures) return this.#finish(call, items);
    for (const item of items) {
      if (item.imageUUID) call.pictures.set(item.imageUUID, item);
      if (item.status === "processing") {
        call.onProgress({ percent: item.progress, secondsLeft: item.secondsLeft });
        this.#later(call, POLL_PAUSE_MS, () => this.#poll(call));
      }
    }
    if (call.pictures.size >= (call.task.numberResults ?? 1)) this.#finish(call, [...call.pictures.values()]);
  }

  #finish(call, items) {
    if (!call) return;
    this.#calls.delete(call.name);
    call.resolve(items);
  }

  #failed(item) {
    if (item.taskType === "authentication" || item.code === "missingApiKey") {
      clearTimeout(this.#timers.connect);
      this.refusal = item.message;
      this.#become("refused");
      return;
    }
    const call = this.#calls.get(item.taskType === "cancelTask" ? `cancel ${item.taskUUID}` : item.taskUUID);
    if (!call) return;
    const again = () => this.#begin(call);
    if (call.pictures && COMES_BACK.has(item.code)) {
      call.accepted = false;
      this.#later(call, BUSY_PAUSE_MS, again);
    } else if (call.pictures && ["conflictTaskUUID", "inferenceTimeout"].includes(item.code)) {
      this.#later(call, POLL_PAUSE_MS, again);
    } else if (call.pictures && item.code === "taskNotFound" && call.task.positivePrompt !== undefined && !call.resent) {
      // The connection went before the task was read.
      call.resent = true;
      call.accepted = false;
      again();
    } else if (call.patient && item.code === "rateLimitExceeded") {
      call.accepted = false;
      this.#later(call, 2 * BUSY_PAUSE_MS, again);
    } else {
      this.#calls.delete(call.name);
      call.reject(new TaskError(item));
    }
  }
}
