// npm @runware/sdk-js at work at random for a while; see client.py, whose arguments and report are the same.
//
// Usage: node client.mjs LIBRARY PROXY_URL SERVER_URL PHOTO SECONDS SEED. LIBRARY is for the report.

import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { Runware } from "@runware/sdk-js";

const CALL_LIMIT_MS = 100_000;
const SETTLE_LIMIT_MS = 120_000;
// What the client itself waits for an answer: a call whose connection was cut gets none.
const CLIENT_TIMEOUT_MS = 30_000;
const [library, proxyUrl, serverUrl, photoPath, seconds, seed] = process.argv.slice(2);
const photo = `data:image/jpeg;base64,${readFileSync(photoPath).toString("base64")}`;
const outcomes = {};
const lost = [];
let client;
let state = Number(seed);

// Mulberry32: the language has no generator that takes a seed.
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
}

const choose = (options) => options[Math.floor(random() * options.length)];
const count = (name) => (outcomes[name] = (outcomes[name] ?? 0) + 1);

async function within(promise, limitMs) {
  const over = new AbortController();
  const limit = wait(limitMs, undefined, { signal: over.signal }).then(() => {
    throw new Error("no answer in time");
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    over.abort();
    limit.catch(() => {});
    promise.catch(() => {});
  }
}

// Asks the server itself, not through the proxy.
async function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(serverUrl + path, { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

async function reopen() {
  shut();
  client = new Runware({
    apiKey: "any",
    url: `${proxyUrl.replace("http", "ws")}/v1`,
    timeoutDuration: CLIENT_TIMEOUT_MS,
    globalMaxRetries: 0,
  });
  for (let attempt = 0; attempt < 20; attempt += 1) {
    try {
      await within(client.ensureConnection(), 30_000);
      return;
    } catch {
      count("connecting: again");
      await wait(500);
    }
  }
  throw new Error("no connection in twenty attempts");
}

function shut() {
  client?.disconnect()?.catch?.(() => count("closing: failed"));
}

async function call(kind, results, { taskUUID = randomUUID(), ...changes } = {}) {
  const task = {
    taskUUID,
    model: "runware:101@1",
    positivePrompt: "a snowy winter evening, oil painting",
    seedImage: photo,
    width: 128,
    height: 128,
    steps: 6,
    strength: 0.6,
    numberResults: results,
    ...changes,
  };
  let said;
  try {
    const answer = (await within(client.requestImages(task), CALL_LIMIT_MS)) ?? [];
    const distinct = new Set(answer.map((item) => item.imageUUID).filter(Boolean));
    if (distinct.size === results) {
      count(`${kind}: answered`);
      return;
    }
    said = `${distinct.size} results in place of ${results}`;
  } catch (reason) {
    said = reason?.message ?? JSON.stringify(reason);
    if (kind === "refused" && said.includes("strength")) {
      count("refused: refused");
      return;
    }
  }
  await settle(kind, taskUUID, results, said);
}

// Asks until the task is over, for as long as there is progress.
async function settle(kind, taskUUID, results, whatTheClientSaid) {
  let ends = Date.now() + SETTLE_LIMIT_MS;
  let said = "";
  while (Date.now() < ends) {
    const reply = await ask("POST", "/v1", [{ taskType: "getResponse", taskUUID }]);
    if (JSON.stringify(reply) !== said) {
      said = JSON.stringify(reply);
      ends = Date.now() + SETTLE_LIMIT_MS;
    }
    const codes = [...new Set((reply.errors ?? []).map((error) => error.code))].sort();
    if (codes.length) {
      count(`${kind}: ${codes.join() === "taskNotFound" ? "never arrived" : codes.join(", ")}`);
      return;
    }
    if ((reply.data ?? []).filter((item) => item.status === "success").length === results) {
      count(`${kind}: found by asking`);
      return;
    }
    await wait(1000);
  }
  lost.push({ kind, taskUUID, client: whatTheClientSaid, server: said });
}

const acts = {
  sync: () => call("sync", 1),
  several: () => call("several", 3),
  // For images this client leaves the polling to its caller: the call ends with the acknowledgement.
  asynchronous: () => call("async", 2, { deliveryMethod: "async" }),
  idle: () => wait(random() * 2000),
  refused: () => call("refused", 1, { strength: 1.5 }),

  async cancelled() {
    const taskUUID = randomUUID();
    const cancel = wait(random() * 1500).then(() => ask("DELETE", `/v1/tasks/${taskUUID}`));
    await Promise.all([call("cancelled", 1, { taskUUID, steps: 60, strength: 1.0 }), cancel]);
  },

  async abandoned() {
    const called = call("abandoned", 1);
    await wait(random() * 500);
    await reopen();
    await called;
  },
};

const ends = Date.now() + Number(seconds) * 1000;
await reopen();
while (Date.now() < ends) {
  const chosen = Array.from({ length: choose([1, 1, 1, 2, 3]) }, () => choose(Object.keys(acts)));
  const names = chosen.includes("abandoned") ? ["abandoned"] : chosen;
  await Promise.all(names.map((name) => acts[name]()));
  if (random() < 0.1) {
    await reopen();
  }
}
shut();
// The client leaves timers behind that would keep the process alive.
process.stdout.write(JSON.stringify({ library, outcomes, lost }), () => process.exit(0));
