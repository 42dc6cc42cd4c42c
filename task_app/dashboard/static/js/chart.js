// Charts over time: read one span by pointer, touch or arrow keys, follow it to its jobs, choose a window by dragging.
//
// The server has drawn everything; what is needed to read stands in data attributes of <figure data-chart> and of its
// legend. All listeners are on the document and look charts up by id, so regions may be swapped at any time.

/** @typedef {{name: string, kind: string, unit: string, link: string | undefined, values: (number | null)[]}} Series */

const SLACK = 6; // pixels before a press becomes a drag
// What is read: span `index` of a chart that began at `start`; `anchor`: where a choice by keys began.
const now = { id: "", index: -1, start: 0, anchor: -1, byKey: false };
let press = null; // {id, from, x, pointer}: a button or finger that is down
let chosen = null; // {id, first, last}: what is being chosen, as spans
let ignoreClick = false;

// -- the chart -----------------------------------------------------------------------------------------------------------

const figureOf = (element) => element?.closest?.("figure[data-chart]") ?? null;
const figure = (id) => (id ? document.getElementById(id) : null);

/** @returns {Series[]} */
function seriesOf(chart) {
  return [...chart.querySelectorAll(".chart-keys [data-values]")].map((key) => ({
    name: key.dataset.name,
    kind: key.dataset.kind,
    unit: key.dataset.unit,
    link: key.dataset.link,
    values: key.dataset.values.split(" ").map((text) => (text === "-" ? null : Number(text))),
  }));
}

const count = (chart) => Number(chart.dataset.count);
const at = (chart, index) => new Date((Number(chart.dataset.start) + index * Number(chart.dataset.step)) * 1000);
const iso = (moment) => moment.toISOString().replace(".000Z", "Z");

function indexAt(chart, clientX) {
  const ground = chart.querySelector(".chart-ground").getBoundingClientRect();
  const share = (clientX - ground.left) / ground.width;
  return Math.min(count(chart) - 1, Math.max(0, Math.floor(share * count(chart))));
}

/** Fill the moments of a span into a link; the server wrote placeholders. */
function fill(link, chart, first, last) {
  return link
    .replace("__from__", encodeURIComponent(iso(at(chart, first))))
    .replace("__until__", encodeURIComponent(iso(at(chart, last + 1))));
}

// -- words: as drawing/amounts.py writes them ---------------------------------------------------------------------------

function duration(seconds) {
  if (seconds < 0.0095) return seconds < 0.00005 ? "0 ms" : `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1).replace(".0", "")} s`;
  const whole = Math.round(seconds);
  const [length, unit, lesser, lesserUnit] = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]].find(([l]) => whole >= l);
  const rest = Math.floor((whole % length) / lesser);
  return `${Math.floor(whole / length)} ${unit}${rest ? ` ${rest} ${lesserUnit}` : ""}`;
}

const write = (value, unit) =>
  value === null ? "–" : unit === "duration" ? duration(value) : String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");

const inUtc = () => document.querySelector("select[data-clock]")?.value === "utc";

function moments(chart, first, last) {
  const options = { hourCycle: "h23", ...(inUtc() && { timeZone: "UTC" }) };
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...options });
  const seconds = Number(chart.dataset.step) < 60 ? { second: "2-digit" } : {};
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", ...seconds, ...options });
  const [start, end] = [at(chart, first), at(chart, last + 1)];
  const sameDay = day.format(start) === day.format(end);
  return `${day.format(start)} ${clock.format(start)} – ${sameDay ? "" : `${day.format(end)} `}${clock.format(end)}${inUtc() ? " UTC" : ""}`;
}

// -- reading ---------------------------------------------------------------------------------------------------------------

function part(chart, tag, name) {
  const body = chart.querySelector(".chart-body");
  let element = body.querySelector(`.${name}`);
  if (!element) {
    element = document.createElement(tag);
    element.className = name;
    body.append(element);
  }
  return element;
}

function lay(chart, element, first, last) {
  const ground = chart.querySelector(".chart-ground").getBoundingClientRect();
  const body = chart.querySelector(".chart-body").getBoundingClientRect();
  const width = ground.width / count(chart);
  element.style.left = `${ground.left - body.left + first * width}px`;
  element.style.width = `${Math.max(1, (last - first + 1) * width)}px`;
  element.style.top = `${ground.top - body.top}px`;
  element.style.height = `${ground.height}px`;
}

/** Return the series that is drawn at a height, for bars: the part of the stack under the pointer. */
function seriesAt(chart, all, index, clientY) {
  if (chart.dataset.chart !== "bars" || clientY === null) return undefined;
  const ground = chart.querySelector(".chart-ground").getBoundingClientRect();
  const value = ((ground.bottom - clientY) / ground.height) * Number(chart.dataset.high);
  let top = 0;
  for (const kind of ["bad", "ok", "stop"]) {
    const one = all.find((series) => series.kind === kind);
    top += one?.values[index] ?? 0;
    if (value <= top) return one;
  }
  return undefined;
}

function read(chart, index, clientY = null) {
  const all = seriesOf(chart);
  const cursor = part(chart, "a", "chart-cursor");
  lay(chart, cursor, index, index);
  const link = seriesAt(chart, all, index, clientY)?.link ?? chart.dataset.link;
  if (link) cursor.href = fill(link, chart, index, index);
  cursor.tabIndex = -1;
  cursor.draggable = false;
  cursor.setAttribute("aria-hidden", "true");
  cursor.hidden = false;

  const { known, lines } = linesOf(chart, all, index);
  const reading = part(chart, "div", "chart-reading");
  reading.setAttribute("aria-hidden", "true"); // the reader says it
  const when = document.createElement("p");
  when.textContent = moments(chart, index, index);
  const list = document.createElement("dl");
  for (const { name, kind, text } of lines) {
    const term = document.createElement("dt");
    term.dataset.kind = kind;
    term.textContent = name;
    const value = document.createElement("dd");
    value.textContent = text;
    list.append(term, value);
  }
  reading.replaceChildren(when, known ? list : "not recorded");
  reading.hidden = false;
  place(chart, reading, cursor);
  Object.assign(now, { id: chart.id, index, start: Number(chart.dataset.start) });
  describe(chart, index);
}

function linesOf(chart, all, index) {
  const lines = all.map(({ name, kind, unit, values }) => ({ name, kind, text: write(values[index], unit) }));
  const absent = chart.dataset.chart !== "lines" && all.every(({ values }) => values[index] === null);
  return { known: !absent, lines };
}

function place(chart, reading, cursor) {
  const room = chart.querySelector(".chart-body").clientWidth;
  const [left, width] = [cursor.offsetLeft, cursor.offsetWidth];
  const after = left + width + 10;
  const before = left - 10 - reading.offsetWidth;
  reading.style.left = `${after + reading.offsetWidth <= room ? after : Math.max(0, before)}px`;
}

/** Take back what was chosen. */
function forget(chart) {
  const choice = chart.querySelector(".chart-choice");
  if (choice) choice.hidden = true;
  now.anchor = -1;
  chosen = null;
}

function stop(chart) {
  for (const element of chart?.querySelectorAll(".chart-cursor, .chart-reading, .chart-choice") ?? []) element.hidden = true;
  if (now.id === chart?.id) Object.assign(now, { id: "", index: -1, anchor: -1, byKey: false });
  chosen = null;
}

// -- choosing a window --------------------------------------------------------------------------------------------------------

function choose(chart, one, other) {
  chosen = { id: chart.id, first: Math.min(one, other), last: Math.max(one, other) };
  const choice = part(chart, "div", "chart-choice");
  choice.hidden = false;
  lay(chart, choice, chosen.first, chosen.last);
  const when = chart.querySelector(".chart-reading p");
  if (when) when.textContent = moments(chart, chosen.first, chosen.last);
}

/** Go where the same page shows the chosen window: a link like every other. */
function goTo(chart, { first, last }) {
  const url = new URL(location.href);
  url.searchParams.set("from", iso(at(chart, first)));
  url.searchParams.set("to", iso(at(chart, last + 1)));
  for (const name of ["window", "after", "cursor"]) url.searchParams.delete(name);
  location.assign(url);
}

document.addEventListener("pointerdown", (event) => {
  const chart = figureOf(event.target.closest?.(".chart-body"));
  if (!chart || event.button !== 0) return;
  forget(chart);
  press = { id: chart.id, from: indexAt(chart, event.clientX), x: event.clientX, pointer: event.pointerId, wasRead: now.id === chart.id ? now.index : -1 };
});

document.addEventListener("pointermove", (event) => {
  if (press && event.pointerId === press.pointer) {
    const chart = figure(press.id);
    if (!chart) { press = null; return; }
    if (!chosen && Math.abs(event.clientX - press.x) < SLACK) return;
    event.preventDefault();
    const index = indexAt(chart, event.clientX);
    read(chart, index);
    choose(chart, press.from, index);
    return;
  }
  if (event.pointerType === "touch") return;
  const body = event.target.closest?.("figure[data-chart] .chart-body");
  const chart = figureOf(body);
  if (now.id && now.id !== chart?.id && !now.byKey) stop(figure(now.id));
  if (!chart) return;
  now.byKey = false;
  read(chart, indexAt(chart, event.clientX), event.clientY);
});

document.addEventListener("pointerup", (event) => {
  if (!press || event.pointerId !== press.pointer) return;
  const chart = figure(press.id);
  const { wasRead, from } = press;
  press = null;
  if (chosen && chart) {
    ignoreClick = true;
    setTimeout(() => { ignoreClick = false; }, 0);
    goTo(chart, chosen);
  } else if (chart && event.pointerType === "touch") {
    // A first tap reads, a second one on the same span follows it.
    if (wasRead !== from) {
      ignoreClick = true;
      setTimeout(() => { ignoreClick = false; }, 400);
    }
    read(chart, from, event.clientY);
  }
});

document.addEventListener("pointercancel", () => { // the browser took it for scrolling
  if (press) stop(figure(press.id));
  press = null;
});

document.addEventListener("click", (event) => {
  if (ignoreClick && figureOf(event.target)) { event.preventDefault(); ignoreClick = false; }
}, true);
document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".chart-body")) event.preventDefault(); });

// -- the keyboard: a slider that walks over the spans --------------------------------------------------------------------------

function reader(chart) {
  const element = part(chart, "div", "chart-reader");
  if (element.hasAttribute("role")) return element;
  element.id = `${chart.id}-reader`; // so that the focus survives a swap
  element.tabIndex = 0;
  element.setAttribute("role", "slider");
  element.setAttribute("aria-orientation", "horizontal");
  element.setAttribute("aria-label", `${chart.querySelector(".chart-title").textContent}: read with arrow keys, choose with Shift`);
  element.setAttribute("aria-valuemin", "0");
  element.setAttribute("aria-valuemax", String(count(chart) - 1));
  describe(chart, now.id === chart.id ? now.index : count(chart) - 1);
  lay(chart, element, 0, count(chart) - 1);
  return element;
}

function describe(chart, index) {
  const element = chart.querySelector(".chart-reader");
  if (!element) return;
  const { known, lines } = linesOf(chart, seriesOf(chart), index);
  const said = known ? lines.map(({ name, text }) => `${name} ${text}`).join(", ") : "not recorded";
  element.setAttribute("aria-valuenow", String(index));
  element.setAttribute("aria-valuetext", `${moments(chart, index, index)}: ${said}`);
}

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && (press || now.id)) {
    press = null;
    stop(figure(chosen?.id ?? now.id));
    event.preventDefault();
    return;
  }
  const chart = event.target.matches?.(".chart-reader") ? figureOf(event.target) : null;
  if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
  const from = now.id === chart.id ? now.index : count(chart);
  if (event.key in STEPS) {
    event.preventDefault();
    const index = Math.min(count(chart) - 1, Math.max(0, from + STEPS[event.key]));
    const anchor = now.anchor >= 0 && now.id === chart.id ? now.anchor : Math.min(from, count(chart) - 1);
    read(chart, index);
    now.byKey = true;
    if (event.shiftKey) {
      now.anchor = anchor;
      choose(chart, anchor, index);
    } else if (now.anchor >= 0) forget(chart);
  } else if (event.key === "Enter" && now.id === chart.id) {
    event.preventDefault();
    if (chosen) goTo(chart, chosen);
    else part(chart, "a", "chart-cursor").click();
  }
});

document.addEventListener("focusout", (event) => {
  const element = event.target;
  if (!element.matches?.(".chart-reader")) return;
  setTimeout(() => { // after a swap, which takes the focus away too: then it comes back
    if (!element.isConnected || element === document.activeElement) return;
    held = "";
    stop(figureOf(element));
  }, 0);
});

// -- earlier runs: one stop for Tab, arrows from bar to bar ----------------------------------------------------------------------

function rove(svg) {
  const bars = [...svg.querySelectorAll("a[data-run]")];
  const first = bars.find((bar) => bar.getAttribute("aria-current")) ?? bars.at(-1);
  for (const bar of bars) bar.setAttribute("tabindex", bar === first ? "0" : "-1");
}

document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.("a[data-run]");
  if (!bar || !(event.key in STEPS)) return;
  event.preventDefault();
  const bars = [...bar.parentNode.querySelectorAll("a[data-run]")];
  const next = bars[Math.min(bars.length - 1, Math.max(0, bars.indexOf(bar) + STEPS[event.key]))];
  bar.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});

// -- timelines: what goes on counts on, from what the server said, so that clocks need not agree ------------------------------------

const since = new WeakMap();

function countOn() {
  for (const time of document.querySelectorAll(".box-time[data-seconds]")) {
    if (!since.has(time)) since.set(time, performance.now());
    const seconds = Number(time.dataset.seconds) + (performance.now() - since.get(time)) / 1000;
    time.textContent = duration(seconds >= 10 ? Math.floor(seconds) : seconds);
  }
}
setInterval(() => { if (!document.hidden) countOn(); }, 1000);

// -- when charts come, or change size --------------------------------------------------------------------------------------------

let held = ""; // the reader that had the focus when its region was swapped

function greet() {
  countOn();
  for (const chart of document.querySelectorAll("figure[data-chart]")) lay(chart, reader(chart), 0, count(chart) - 1);
  for (const svg of document.querySelectorAll(".past-runs")) rove(svg);
}

document.addEventListener("focusin", (event) => { held = event.target.matches?.(".chart-reader") ? event.target.id : ""; });

document.addEventListener("live:swapped", () => {
  const { id, index, start, anchor, byKey } = now;
  const choice = chosen;
  greet();
  const chart = figure(id);
  if (held && !document.activeElement?.matches?.(".chart-reader")) document.getElementById(held)?.focus({ preventScroll: true });
  if (!chart || index < 0) return;
  // The window may have moved on: what is read and chosen stays with its time.
  const moved = Math.round((Number(chart.dataset.start) - start) / Number(chart.dataset.step));
  const kept = (span) => Math.min(count(chart) - 1, Math.max(0, span - moved));
  if (press) press.from = kept(press.from);
  read(chart, kept(index));
  Object.assign(now, { anchor: anchor < 0 ? -1 : kept(anchor), byKey });
  if (choice) choose(chart, kept(choice.first), kept(choice.last));
});
new ResizeObserver(greet).observe(document.body);
greet();
