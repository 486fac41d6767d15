// JSON as the API has it. Seeds may have 63 bits, more than a JavaScript number keeps exact, so here they are strings of
// digits. In JSON text a quote within a string is escaped, so `"seed":` can only be a name.

export function encode(tasks) {
  return JSON.stringify(tasks).replace(/"seed":"(\d+)"/g, '"seed":$1');
}

export function decode(text) {
  return JSON.parse(text.replace(/"seed":(\d+)/g, '"seed":"$1"'));
}

/** Tasks as people read them. */
export function pretty(tasks) {
  return JSON.stringify(tasks, null, 2).replace(/"seed": "(\d+)"/g, '"seed": $1');
}

/** A version 4 UUID, also where the page came over plain HTTP and `crypto.randomUUID` is missing. */
export function newUUID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Why a task failed, in the server's words. */
export class TaskError extends Error {
  constructor(item) {
    super(item.message ?? item.code ?? "The task failed.");
    this.code = item.code ?? "";
    this.parameters = [item.parameter ?? []].flat();
  }
}
