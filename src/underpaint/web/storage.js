// What this browser remembers. Where storage is switched off or full, the page works and forgets.

const PREFIX = "underpaint.";

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
  }
}

export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

const MAX_RESULTS = 300;

/**
 * Results of this browser, the newest first, and the tasks that it waits for. Every tab reads before it writes, so that none
 * takes back what another has added.
 */
export const history = {
  all: () => recall("history", []),

  add(results) {
    const known = new Set(results.map((each) => each.imageUUID));
    const others = this.all().filter((each) => !known.has(each.imageUUID));
    remember("history", [...results.toReversed(), ...others].slice(0, MAX_RESULTS));
  },

  clear: () => remember("history", null),

  pending: () => recall("pending", []),

  begin(run) {
    remember("pending", [...this.pending(), run]);
  },

  end(taskUUID) {
    const rest = this.pending().filter((each) => each.task.taskUUID !== taskUUID);
    remember("pending", rest.length ? rest : null);
  },

  /** Calls back when another tab has changed something. */
  watch(changed) {
    addEventListener("storage", (event) => event.key === `${PREFIX}history` && changed());
  },
};
