// Taking things out of the page: to the clipboard, and to a file.

import { announce, el, notify } from "./dom.js";

const SAID_MS = 1600;

/** Copies, and says so on the button for a moment. */
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP there is no clipboard but the old one.
    const field = el("textarea", { value: text, class: "hidden-visually" });
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  announce("Copied.");
  button.setAttribute("aria-pressed", "true");
  setTimeout(() => button.removeAttribute("aria-pressed"), SAID_MS);
}

export function saveBlob(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Saves a result under a name that says what it is. */
export async function download(result) {
  const words = result.parameters.positivePrompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const extension = new URL(result.url).pathname.split(".").pop();
  try {
    const reply = await fetch(result.url);
    if (!reply.ok) throw new Error();
    saveBlob(await reply.blob(), `${["underpaint", ...words.slice(0, 5)].join("-")}-${result.seed}.${extension}`);
  } catch {
    notify("The server no longer keeps this picture.");
  }
}
