// Scenarios for npm @runware/ai-sdk-provider 2.0.0 under the AI SDK (`ai` 6).
//
// Usage: node javascript_ai_sdk.mjs HTTP_URL API_KEY PHOTO [SCENARIO ...]
//
// Prints one JSON document: for every scenario what the client returned, or the error that reached the caller. The
// provider shows the server's items only inside a warning, and hands over the pictures as bytes: both are reported.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createRunware } from "@runware/ai-sdk-provider";
import { generateImage } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false;

const [httpUrl, apiKey, photoPath, ...names] = process.argv.slice(2);
const baseURL = `${httpUrl}/v1`;
const photo = `data:image/jpeg;base64,${readFileSync(photoPath).toString("base64")}`;
const runware = createRunware({ apiKey, baseURL });

const PROMPT = "a snowy winter evening, oil painting";

async function transform(task, { settings = {}, ...call } = {}) {
  const { images, warnings } = await generateImage({
    model: runware.image("runware:101@1", { steps: 6, ...settings }),
    prompt: PROMPT,
    size: "256x256",
    seed: 20260101,
    ...call,
    providerOptions: { runware: { strength: 0.6, ...task } },
  });
  const items = warnings.flatMap(({ message }) => JSON.parse(message.replace("Response data: ", "")));
  return {
    results: items,
    downloaded: images.map(({ base64, mediaType }) => ({ base64, mediaType })),
  };
}

// This provider cannot upload, so its users post the task themselves.
async function upload() {
  const reply = await fetch(baseURL, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${apiKey}` },
    body: JSON.stringify([{ taskType: "imageUpload", taskUUID: crypto.randomUUID(), image: photo }]),
  });
  return (await reply.json()).data[0];
}

const scenarios = {
  upload,

  async transform_by_uuid() {
    const { imageUUID } = await upload();
    return transform({ seedImage: imageUUID });
  },

  transform_inline: () => transform({ seedImage: photo }),

  three_results: () => transform({ seedImage: photo }, { n: 3, maxImagesPerCall: 3, seed: 500 }),

  // Without maxImagesPerCall the AI SDK sends three requests at once.
  three_requests: () => transform({ seedImage: photo }, { n: 3, seed: undefined }),

  base64_output: () => transform({ seedImage: photo }, { settings: { outputType: "base64Data" } }),

  async second_pass() {
    const first = await transform({ seedImage: photo });
    const seedImage = first.results[0].imageUUID;
    const second = await transform({ seedImage, strength: 0.4 }, { size: "320x192" });
    return { first: first.results, ...second };
  },

  with_cost: () => transform({ seedImage: photo }, { settings: { includeCost: true } }),

  bad_parameter: () => transform({ seedImage: photo, strength: 1.5 }),

  bad_prompt: () => transform({ seedImage: photo }, { prompt: "snow ".repeat(601) }),
};

function describe(reason) {
  let reply;
  try {
    reply = JSON.parse(reason.responseBody);
  } catch {
    reply = undefined;
  }
  const { code, parameter, taskUUID } = reply?.errors?.[0] ?? {};
  return { type: reason.name, text: reason.message, status_code: reason.statusCode, code, parameter, taskUUID };
}

const happened = {};
for (const name of names.length ? names : Object.keys(scenarios)) {
  try {
    happened[name] = { outcome: await scenarios[name]() };
  } catch (reason) {
    happened[name] = { error: describe(reason) };
  }
}

const entry = createRequire(import.meta.url).resolve("@runware/ai-sdk-provider");
const { name, version } = JSON.parse(readFileSync(join(dirname(entry), "..", "package.json"), "utf8"));
console.log(JSON.stringify({ client: `${name} ${version}`, scenarios: happened }));
