// Transform a photo with the AI SDK and its official Runware provider, over HTTP to your own server.
//
// npm install ai@6 @runware/ai-sdk-provider@2.0.0
// node javascript_ai_sdk.mjs photo.jpg transformed.png

import { readFile, writeFile } from "node:fs/promises";
import { createRunware } from "@runware/ai-sdk-provider";
import { generateImage } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false; // this provider hands over every reply as a warning

const [photoPath, resultPath] = process.argv.slice(2);
const photo = await readFile(photoPath, "base64");

const runware = createRunware({
  apiKey: process.env.RUNWARE_API_KEY ?? "local",
  baseURL: process.env.RUNWARE_URL ?? "http://127.0.0.1:8080/v1",
});

const { image } = await generateImage({
  model: runware.image("runware:101@1", { steps: 20 }),
  prompt: "a pagoda above a lake at sunset, vaporwave",
  size: "768x512",
  // What the AI SDK has no name for goes into the task as it is.
  providerOptions: { runware: { seedImage: `data:image/jpeg;base64,${photo}`, strength: 0.6 } },
});

await writeFile(resultPath, image.uint8Array);
console.log(`saved as ${resultPath}`);
