// The key of this server, if it wants one.

import { recall, remember } from "./storage.js";

const ANY_KEY = "playground"; // a server without keys takes any

/** Where the key is kept: in this tab, and if wished in this browser. */
export const keyRing = {
  get key() {
    return this.session() ?? recall("key", null) ?? ANY_KEY;
  },
  get given() {
    return this.key !== ANY_KEY;
  },
  session() {
    try {
      return sessionStorage.getItem("underpaint.key");
    } catch {
      return null;
    }
  },
  put(key, keep) {
    try {
      sessionStorage.setItem("underpaint.key", key);
    } catch {
      // Then it lasts as long as this page.
    }
    remember("key", keep ? key : null);
  },
};
