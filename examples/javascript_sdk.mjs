// Transform a photo with the official JavaScript SDK, over a WebSocket to your own server.
//
// npm install @runware/sdk-js@1.3.2
// node javascript_sdk.mjs photo.jpg transformed.jpg

import { readFile, writeFile } from "node:fs/promises";
import { Runware } from "@runware/sdk-js";

const [photoPath, resultPath] = process.argv.slice(2);
const photo = await readFile(photoPath, "base64");

const runware = await Runware.initialize({
  apiKey: process.env.RUNWARE_API_KEY ?? "local",
  // Not ws://localhost:8080: this client takes exactly that address for a test and does not wait for it.
  url: process.env.RUNWARE_URL ?? "ws://127.0.0.1:8080/v1",
  timeoutDuration: 300_000, // after 60 s, the default, it would send the task again
});

const [image] = await runware.requestImages({
  model: "runware:101@1",
  positivePrompt: "a pagoda above a lake at sunset, vaporwave",
  seedImage: `data:image/jpeg;base64,${photo}`,
  strength: 0.6,
  steps: 20,
  width: 768,
  height: 512,
});
await runware.disconnect();

const picture = await fetch(image.imageURL);
await writeFile(resultPath, Buffer.from(await picture.arrayBuffer()));
console.log(`${image.imageURL} saved as ${resultPath}`);
