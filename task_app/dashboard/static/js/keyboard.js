// The keyboard: / filter or search, j k rows, Enter open, x select, n new job, g and a letter for pages, ? help.

const PLACES = { o: "", j: "jobs", f: "failures", q: "queues", w: "workers" };
const home = new URL(document.querySelector(".brand").href);
const help = document.querySelector("#shortcuts");
let current = null; // the id of the row, so that it survives a swap
let goes = false;

const rows = () => [...document.querySelectorAll("tr[data-row]")];
const typing = (element) => element.closest("input, textarea, select, [contenteditable], dialog[open]") !== null;

function mark() {
  for (const row of rows()) row.toggleAttribute("data-current", row.dataset.row === current);
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.dataset.row === current);
  const next = all[at === -1 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  current = next.dataset.row;
  mark();
  next.scrollIntoView({ block: "nearest" });
  (next.querySelector("a[data-open]") ?? next.querySelector("a"))?.focus({ preventScroll: true });
}

const row = () => rows().find((one) => one.dataset.row === current);

const KEYS = {
  "/": () => (document.querySelector("#filter") ?? document.querySelector("#search"))?.focus(),
  "?": () => help.showModal(),
  j: () => step(1),
  k: () => step(-1),
  x: () => row()?.querySelector("input[type=checkbox]")?.click(),
  n: () => { location.href = new URL("new", home); },
  g: () => { goes = true; setTimeout(() => { goes = false; }, 1500); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && event.target.matches?.("input, textarea")) { event.target.blur(); return; }
  if (typing(event.target) && !event.target.matches("input[type=checkbox]")) return;
  if (goes && event.key in PLACES) { location.href = new URL(PLACES[event.key], home); return; }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.querySelector("[data-shortcuts]")?.addEventListener("click", () => help.showModal());
document.addEventListener("live:swapped", mark);
