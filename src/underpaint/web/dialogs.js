// The dialogs of the page: the program of the present settings, and the key.

import { el, find } from "./dom.js";
import { programs } from "./programs.js";
import { copyText } from "./sharing.js";
import { keyRing } from "./keys.js";
import { recall, remember } from "./storage.js";

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.dataset.firm === undefined && dialog.close());
}

/** `present()` gives what `programs` takes; `named` is a promise of when the server has a name for every picture in it. */
export function codeDialog(present, named) {
  const tabs = find("code-tabs");
  let chosen = recall("language", "Task");
  const draw = () => {
    const all = programs(present());
    const shown = all.find(({ name }) => name === chosen) ?? all[0];
    tabs.replaceChildren(
      ...all.map(({ name }) =>
        el("button", { type: "button", role: "tab", "aria-selected": String(name === shown.name), "aria-controls": "code-text", tabIndex: name === shown.name ? 0 : -1, onclick: () => choose(name) }, name),
      ),
    );
    find("code-text").textContent = shown.text;
    find("code-note").textContent = shown.note;
  };
  const choose = (name) => {
    chosen = name;
    remember("language", name);
    draw();
    tabs.querySelector('[aria-selected="true"]').focus();
  };
  tabs.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const all = [...tabs.children];
    choose(all[(all.indexOf(document.activeElement) + move + all.length) % all.length].textContent);
  });
  find("code-copy").onclick = (event) => copyText(find("code-text").textContent, event.currentTarget);
  find("code-button").onclick = () => {
    draw();
    find("code-dialog").showModal();
    named().then(draw, () => {}); // without, the program says what is to be put there
  };
}

/** Asks for a key whenever the server refuses the one that it got. */
export function keyDialog(socket) {
  const dialog = find("key-dialog");
  dialog.dataset.firm = "";
  let tried = false;
  const open = () => dialog.open || dialog.showModal();
  find("key-button").onclick = open;
  find("key-form").addEventListener("submit", () => {
    const key = find("key").value.trim();
    if (!key) return;
    tried = true;
    keyRing.put(key, find("key-keep").checked);
    socket.useKey(key);
  });
  const follow = () => {
    find("key-button").hidden = socket.state !== "refused" && !keyRing.given;
    if (socket.state !== "refused") return;
    find("key-error").textContent = socket.refusal;
    find("key-error").hidden = !tried;
    open();
  };
  socket.addEventListener("state", follow);
  follow();
}
