// Scenarios for npm @runware/sdk-js 1.3.2.
//
// Usage: node javascript_sdk.mjs HTTP_URL API_KEY PHOTO [SCENARIO ...]
//
// Prints one JSON document: for every scenario what the client returned, or the error that reached the caller.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { Runware } from "@runware/sdk-js";

const [httpUrl, apiKey, photoPath, ...names] = process.argv.slice(2);
const photo = `data:image/jpeg;base64,${readFileSync(photoPath).toString("base64")}`;

const MODEL = "runware:101@1";
const PROMPT = "a snowy winter evening, oil painting";

async function transform(client, parameters) {
  const results = await client.requestImages({
    model: MODEL,
    positivePrompt: PROMPT,
    width: 256,
    height: 256,
    steps: 6,
    strength: 0.6,
    seed: 20260101,
    numberResults: 1,
    ...parameters,
  });
  return { results };
}

const scenarios = {
  upload: (client) => client.imageUpload({ image: photo }),

  async transform_by_uuid(client) {
    const uploaded = await client.imageUpload({ image: photo });
    return transform(client, { seedImage: uploaded.imageUUID });
  },

  transform_inline: (client) => transform(client, { seedImage: photo }),

  three_results: (client) => transform(client, { seedImage: photo, numberResults: 3, seed: 500 }),

  base64_output: (client) => transform(client, { seedImage: photo, outputType: "base64Data", outputFormat: "PNG" }),

  async second_pass(client) {
    const first = await transform(client, { seedImage: photo });
    const seedImage = first.results[0].imageUUID;
    const second = await transform(client, { seedImage, width: 320, height: 192, strength: 0.4 });
    return { first: first.results, results: second.results };
  },

  bad_parameter: (client) => transform(client, { seedImage: photo, strength: 1.5 }),

  bad_prompt: (client) => transform(client, { seedImage: photo, positivePrompt: "snow ".repeat(601) }),

  model_search: (client) => client.modelSearch({ search: "underpaint" }),

  async media_storage(client) {
    const uploaded = await client.mediaStorage({ media: photo });
    const transformed = await transform(client, { seedImage: uploaded.mediaUUID });
    const deleted = await client.mediaStorage({ operation: "delete", media: uploaded.mediaUUID });
    return { ...transformed, uploaded, deleted };
  },

  // It asks for guide images asynchronously, and polls for them by itself.
  async preprocess(client) {
    const asked = { inputImage: photo, width: 192, outputFormat: "PNG" };
    return {
      results: [
        await client.controlNetPreProcess({
          ...asked,
          preProcessorType: "canny",
          lowThresholdCanny: 60,
          highThresholdCanny: 150,
        }),
        await client.controlNetPreprocess({ ...asked, preProcessorType: "softedge", deliveryMethod: "sync" }),
      ],
    };
  },

  bad_preprocess: (client) => client.controlNetPreProcess({ inputImage: photo, preProcessorType: "edges" }),

  async upscale(client) {
    const uploaded = await client.imageUpload({ image: photo });
    const upscaled = await client.upscale({
      inputImage: uploaded.imageUUID,
      model: MODEL,
      upscaleFactor: 2,
      settings: { strength: 0 },
    });
    return { results: [upscaled], inputImageUUID: uploaded.imageUUID };
  },

  // For images this client leaves the polling to its caller.
  async asynchronous(client) {
    const taskUUID = randomUUID();
    const acknowledgement = await client.requestImages({
      model: MODEL,
      positivePrompt: PROMPT,
      seedImage: photo,
      width: 256,
      height: 256,
      steps: 6,
      strength: 0.6,
      seed: 500,
      numberResults: 2,
      deliveryMethod: "async",
      taskUUID,
    });
    for (;;) {
      const items = await client.getResponse({ taskUUID });
      const results = items.filter((item) => item.status === "success");
      if (results.length === 2) {
        return { acknowledgement, results };
      }
      await wait(200);
    }
  },

  async task_details(client) {
    const taskUUID = randomUUID();
    const transformed = await transform(client, { seedImage: photo, taskUUID });
    return { ...transformed, taskUUID, details: await client.getTaskDetails({ taskUUID }) };
  },

  // Two good tasks and a bad one in flight at once on one connection.
  async at_the_same_time(client) {
    const settled = await Promise.allSettled([
      transform(client, { seedImage: photo, seed: 7 }),
      transform(client, { seedImage: photo, strength: 1.5 }),
      transform(client, { seedImage: photo, seed: 8 }),
    ]);
    return { outcomes: settled.map((one) => (one.status === "fulfilled" ? one.value : describe(one.reason))) };
  },
};

function describe(reason) {
  const { code, parameter, taskUUID } = reason?.error ?? {};
  return { type: reason?.constructor?.name, text: reason?.message ?? JSON.stringify(reason), code, parameter, taskUUID };
}

const happened = {};
for (const name of names.length ? names : Object.keys(scenarios)) {
  const client = new Runware({ apiKey, url: `${httpUrl.replace("http", "ws")}/v1`, timeoutDuration: 120_000 });
  try {
    happened[name] = { outcome: await scenarios[name](client) };
  } catch (reason) {
    happened[name] = { error: describe(reason) };
  } finally {
    await client.disconnect();
  }
}

const entry = createRequire(import.meta.url).resolve("@runware/sdk-js");
const { name, version } = JSON.parse(readFileSync(join(dirname(entry), "..", "package.json"), "utf8"));
const report = JSON.stringify({ client: `${name} ${version}`, scenarios: happened });
// The client leaves timers behind that would keep the process alive.
process.stdout.write(report, () => process.exit(0));
