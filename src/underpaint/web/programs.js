// The present settings as a task, and as programs that send it.

import { pretty } from "./wire.js";

const TASK_UUID = "00000000-0000-4000-8000-000000000000";

const quotedForShell = (text) => text.replaceAll("'", "'\\''");

function python(parameters) {
  const lines = Object.entries(parameters).map(([name, value]) => `    "${name}": ${name === "seed" ? value : literal(value)},`);
  return `{\n${lines.join("\n")}\n}`;
}

/** Python's literal of a value: JSON's, but for true, false and null. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, each]) => `"${name}": ${literal(each)}`).join(", ")}}`;
}

/** A seed may have more digits than a number of JavaScript keeps. */
function javascript(parameters) {
  const exact = Number.isSafeInteger(Number(parameters.seed ?? 0));
  return exact ? pretty(parameters) : pretty(parameters).replace(/"seed": (\d+)/, '"seed": JSON.rawJSON("$1")');
}

/** [{ name, note, text }] for each language. `base` is the server's address, `key` what to show in place of the key. */
export function programs({ parameters, seedImage, base, key }) {
  const task = { taskType: "imageInference", taskUUID: TASK_UUID, ...parameters, seedImage };
  const api = new URL("v1", base).href;
  const { taskUUID, ...rest } = task;
  const fresh = pretty([{ taskUUID: "$UUID", ...rest }]);
  const image = seedImage.includes("-") ? "The photo is named by its UUID on this server." : "Put the UUID, URL or data URI of a picture in place of SEED_IMAGE.";
  return [
    { name: "Task", note: `${image} Every task has a taskUUID of its own.`, text: pretty([task]) },
    {
      name: "curl",
      note: image,
      text: `UUID=$(python3 -c 'import uuid; print(uuid.uuid4())')\ncurl ${api} \\\n  -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' \\\n  -d '${quotedForShell(fresh).replace('"$UUID"', `"'$UUID'"`)}'`,
    },
    {
      name: "Python",
      note: `pip install requests. ${image}`,
      text: `import uuid\n\nimport requests\n\ntask = ${python(rest)}\nreply = requests.post(\n    "${api}",\n    headers={"Authorization": "Bearer ${key}"},\n    json=[{**task, "taskUUID": str(uuid.uuid4())}],\n)\nanswer = reply.json()\nfor error in answer.get("errors", []):\n    print(error["message"])\nfor item in answer.get("data", []):\n    print(item["imageURL"], item["seed"])`,
    },
    {
      name: "JavaScript",
      note: image,
      text: `const task = ${javascript(rest)};\nconst reply = await fetch("${api}", {\n  method: "POST",\n  headers: { Authorization: "Bearer ${key}", "Content-Type": "application/json" },\n  body: JSON.stringify([{ ...task, taskUUID: crypto.randomUUID() }]),\n});\nconst { data = [], errors = [] } = await reply.json();\nfor (const { message } of errors) console.error(message);\nfor (const { imageURL, seed } of data) console.log(imageURL, seed);`,
    },
  ];
}
