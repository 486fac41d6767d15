// Building the page. Whatever comes from a server or a person becomes text or an attribute, never markup.

export const find = (id) => document.getElementById(id);

/** An element: `el("button", { type: "button", onclick, ariaLabel, "data-x": 1 }, "text", child, ...)`. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name === "class" ? "className" : name] = value;
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** One of the symbols at the top of the page. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A button with an icon and words, which a `bare` one shows only where there is room below its icon. */
export function action(name, words, onclick, { bare = false, ...more } = {}) {
  const look = bare ? { class: "quiet icon", ariaLabel: words } : { class: "quiet" };
  return el("button", { type: "button", title: words, onclick, ...look, ...more }, icon(name), el("span", {}, words));
}

/** Says something to a screen reader, and to nobody else. */
export function announce(words) {
  find("announcer").textContent = words;
}

/** Something that went wrong, or is worth knowing, under the picture. Without words it goes away. */
export function notify(words, { friendly = false, button = null } = {}) {
  const notice = find("notice");
  notice.hidden = !words;
  notice.classList.toggle("friendly", friendly);
  notice.replaceChildren(words ?? "", ...(button ? [" ", button] : []));
}

export function counted(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
