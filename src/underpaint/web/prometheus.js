// Reading the text form of Prometheus, as far as this server writes it.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** One scrape: figures by name and labels. */
export class Figures {
  #samples = new Map(); // by name, [{ labels, value }]

  constructor(text) {
    for (const line of text.split("\n")) {
      const [, name, labels = "", value] = LINE.exec(line) ?? [];
      if (!name) continue;
      if (!this.#samples.has(name)) this.#samples.set(name, []);
      this.#samples.get(name).push({ labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text.replace(/\\(["\\])/g, "$1")])), value: Number(value) });
    }
  }

  all(name, wanted = {}) {
    return (this.#samples.get(name) ?? []).filter(({ labels }) => Object.entries(wanted).every(([key, value]) => labels[key] === value));
  }

  /** All that fit, added up. */
  sum(name, wanted) {
    return this.all(name, wanted).reduce((sum, { value }) => sum + value, 0);
  }

  /** Cumulative counts of a histogram: [{ bound, count }], the last bound infinite. */
  buckets(name, wanted) {
    return this.all(`${name}_bucket`, wanted).map(({ labels, value }) => ({ bound: Number(labels.le.replace("+Inf", "Infinity")), count: value }));
  }
}

/** The quantile of what a histogram took in between two scrapes, straight within a bucket; null where that was nothing. */
export function quantile(share, buckets, before) {
  const counts = buckets.map(({ count }, index) => count - (before[index]?.count ?? 0));
  const total = counts.at(-1);
  if (!total) return null;
  const rank = share * total;
  const index = counts.findIndex((count) => count >= rank);
  const low = index ? buckets[index - 1].bound : 0;
  const below = index ? counts[index - 1] : 0;
  if (buckets[index].bound === Infinity) return low;
  return low + ((buckets[index].bound - low) * (rank - below)) / (counts[index] - below);
}
