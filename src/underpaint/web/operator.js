// The operator's page: the figures of /metrics as pictures that move, and the errors of late.

import { Bars, Line } from "./charts.js";
import { el, find } from "./dom.js";
import { keyRing } from "./keys.js";
import { Figures, quantile } from "./prometheus.js";

const PAUSE_MS = 2000;
const LENGTH = 150; // scrapes on a chart: five minutes
const SPAN = { length: LENGTH, since: "5 minutes ago" };
const GIB = 2 ** 30;
const MADE = { task_type: "imageInference" };

const charts = {
  queue: new Line("Queue", "pictures waiting", SPAN),
  running: new Line("Running", "pictures at once", SPAN),
  throughput: new Line("Throughput", "image tasks a minute", SPAN),
  latency: new Line("Latency", "s at the median; dashed, 95 of 100", { ...SPAN, digits: 1 }),
  batch: new Bars("Batch sizes", "rows in a forward pass, on average"),
  busy: new Line("Engine busy", "% of the time", SPAN),
  memory: new Line("Engine memory", "GiB", { ...SPAN, digits: 2 }),
  failures: new Line("Refused and failed", "tasks a minute", SPAN),
  sockets: new Line("Connections", "open WebSockets", SPAN),
};
const scrapes = []; // { at, figures }

find("charts").append(...Object.values(charts).map(({ element }) => element));

/** A figure of every scrape, by a function of it and the one before; where there is none before, null. */
function series(value) {
  return scrapes.map((scrape, index) => (index ? value(scrape.figures, scrapes[index - 1].figures, scrape.at - scrapes[index - 1].at) : null));
}

const rate = (name, wanted) => series((now, before, ms) => Math.max(0, ((now.sum(name, wanted) - before.sum(name, wanted)) * 60_000) / ms));

/** Over the last ten scrapes: single ones are too few for a quantile, or a rate that can be read. */
function smoothed(values, width = 10) {
  return values.map((_, index) => {
    const window = values.slice(Math.max(0, index - width + 1), index + 1).filter((value) => value !== null);
    return window.length ? window.reduce((sum, value) => sum + value, 0) / window.length : null;
  });
}

function latency(share) {
  return scrapes.map(({ figures }, index) => {
    const before = scrapes[Math.max(0, index - 30)].figures;
    return index ? quantile(share, figures.buckets("underpaint_task_seconds", MADE), before.buckets("underpaint_task_seconds", MADE)) : null;
  });
}

function drawBatches(figures) {
  const buckets = figures.buckets("underpaint_engine_pass_rows");
  const bars = buckets.map(({ bound, count }, index) => ({ name: bound === Infinity ? "more" : String(bound), count: count - (buckets[index - 1]?.count ?? 0) }));
  const passes = figures.sum("underpaint_engine_pass_rows_count");
  const used = bars.findLastIndex(({ count }) => count > 0);
  charts.batch.draw(bars.slice(0, Math.max(used + 1, 6)), passes ? figures.sum("underpaint_engine_pass_rows_sum") / passes : null);
}

function draw() {
  const { figures } = scrapes.at(-1);
  const level = (name) => scrapes.map((scrape) => scrape.figures.sum(name));
  charts.queue.draw(level("underpaint_results_waiting"));
  charts.running.draw(level("underpaint_results_running"));
  charts.throughput.draw(smoothed(rate("underpaint_tasks_total", { ...MADE, outcome: "success" })));
  charts.latency.draw(latency(0.5), latency(0.95));
  charts.busy.draw(smoothed(series((now, before, ms) => Math.min(100, ((now.sum("underpaint_engine_pass_seconds_total") - before.sum("underpaint_engine_pass_seconds_total")) * 100_000) / ms))));
  charts.memory.draw(level("underpaint_engine_memory_bytes").map((bytes) => bytes / GIB));
  const [refused, failed] = ["refused", "failed"].map((outcome) => smoothed(rate("underpaint_tasks_total", { outcome })));
  charts.failures.draw(refused.map((value, index) => (value === null ? null : value + failed[index])));
  charts.sockets.draw(level("underpaint_websocket_connections"));
  drawBatches(figures);
  const models = figures.all("underpaint_engine_model_loaded").map(({ labels }) => el("li", {}, labels.model));
  find("models").replaceChildren(...(models.length ? models : [el("li", { class: "none" }, "None at the moment.")]));
  const restarts = figures.sum("underpaint_engine_restarts_total");
  const ready = figures.sum("underpaint_ready") === 1;
  find("status").dataset.state = ready ? "ready" : "waiting";
  find("status").textContent = (ready ? "Ready" : "Not ready") + (restarts ? ` · engine replaced ${restarts} times` : "");
}

async function errors() {
  const reply = await fetch("operator/errors", { headers: { Authorization: `Bearer ${keyRing.key}` } });
  const body = await reply.json();
  const wanted = reply.status === 401 || reply.status === 403;
  find("key-form").hidden = !wanted;
  find("key-error").textContent = wanted ? body.errors[0].message : "";
  find("key-error").hidden = !wanted || !keyRing.given;
  const shown = reply.ok ? body.errors : [];
  find("errors").replaceChildren(
    ...shown.map(({ time, code, taskType, message }) =>
      el("tr", { role: "row" }, ...[new Date(time * 1000).toLocaleTimeString(), code, taskType ?? "", message].map((words) => el("td", { role: "cell" }, words))),
    ),
  );
  document.querySelector(".errors").hidden = !shown.length;
  find("no-errors").hidden = wanted || shown.length > 0;
}

async function look() {
  try {
    const reply = await fetch("metrics");
    if (!reply.ok) throw new Error();
    scrapes.push({ at: performance.now(), figures: new Figures(await reply.text()) });
    if (scrapes.length > LENGTH) scrapes.shift();
    draw();
    await errors();
  } catch {
    find("status").dataset.state = "refused";
    find("status").textContent = "The server does not answer";
  }
  setTimeout(look, document.hidden ? 5 * PAUSE_MS : PAUSE_MS);
}

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keyRing.put(find("key").value.trim(), false);
  errors();
});
look();
