/**
 * Keeps the page as it is on the server. A stream says that something has changed; the page then fetches itself and
 * swaps what differs (swap.js). The mark in the header says honestly whether that works.
 *
 * - `<body data-live-url="…" data-live-seen="…">` names the stream, and what the page shows already.
 * - `document.body.dataset.paused` is set by others while nothing may move.
 * - The event `live:swapped` on the document says that regions (`detail.regions`) have new content.
 */

import { swap } from "./swap.js";

/** Milliseconds between two fetches at least. */
const THROTTLE = 250;
/** … and between two of them where there is no stream. */
const POLL = 5_000;
/** Without a stream, this long until the next try: the first times, and later on. */
const NEXT_TRY = 2_000, NEXT_STREAM = 30_000;
/** So many streams in a row must fail before the page polls. */
const TRIES = 3;
/** A stream beats every 5 s; one that is silent for this long is dead. */
const SILENCE = 15_000;
/** A page that nobody has looked at for so long gives its place at the server to others. */
const HIDDEN = 60_000;

const WORDS = {
  live: "Live",
  lost: "Connection lost, trying again",
  polling: "Updates every 5 s",
  rows: "Paused while rows are selected",
  text: "Paused while text is selected",
  input: "Paused while you edit",
};

const body = document.body;
const mark = document.getElementById("live-mark");
const otherTabs = "BroadcastChannel" in window ? new BroadcastChannel("live") : null;

/** Fingerprints: of what the page shows, and of what there is. */
let seen = body.dataset.liveSeen || "", told = seen;
/** @type {EventSource | null} */
let source = null;
let isOpen = false; // the stream
let failures = 0; // … in a row
let isPolling = false;
let isAsleep = true;
let isFetched = true; // the last fetch was answered
/** Why something on the page is not up to date, a key of WORDS; or "". */
let held = "";

/** Timers by what they are for. @type {Record<string, number>} */
const timers = {};

/** @param {string} name @param {number} delay @param {() => void} action */
function later(name, delay, action) {
  clearTimeout(timers[name]);
  timers[name] = window.setTimeout(action, delay);
}

function show() {
  if (!mark) return;
  const why = body.dataset.paused ? "rows" : held;
  const state = !isFetched || !(isOpen || isPolling) ? "lost" : why ? "paused" : isOpen ? "live" : "polling";
  const words = WORDS[state === "paused" ? why : state];
  mark.dataset.state = state;
  if (mark.textContent !== words) mark.textContent = words; // a screen reader reads what is put there
}

// -- the stream -------------------------------------------------------------------------------------------------------

function connect() {
  source?.close();
  const url = new URL(body.dataset.liveUrl, location.href);
  if (seen) url.searchParams.set("seen", seen);
  const stream = new EventSource(url);
  source = stream;
  stream.addEventListener("open", () => {
    isOpen = true;
    isPolling = false;
    clearTimeout(timers.poll);
    hear(stream);
    show();
  });
  stream.addEventListener("beat", () => hear(stream));
  stream.addEventListener("bye", connect); // the server wants to know now and then who is asking
  stream.addEventListener("changed", (event) => {
    hear(stream);
    told = event.lastEventId;
    refresh();
  });
  stream.addEventListener("error", () => fail(stream));
}

/** @param {EventSource} stream */
function hear(stream) {
  failures = 0;
  later("silence", SILENCE, () => fail(stream));
}

/** @param {EventSource} stream */
function fail(stream) {
  if (stream !== source) return;
  const isRefused = stream.readyState === EventSource.CLOSED;
  stream.close(); // after some failures the browser tries again by itself, and after others it doesn't: we do
  source = null;
  isOpen = false;
  clearTimeout(timers.silence);
  failures += 1;
  if (failures >= TRIES) isPolling = true;
  later("stream", isPolling ? NEXT_STREAM : NEXT_TRY, connect);
  show();
  if (isPolling || isRefused) refresh(); // the page says why, if one has to sign in again
}

// -- fetching ---------------------------------------------------------------------------------------------------------

let isFetching = false;
let isWanted = false; // once more, after what is being done now
let restsUntil = 0;

/** Fetch the page soon. What is asked for in the meantime is one more fetch. */
function refresh() {
  isWanted = true;
  if (!isFetching) later("fetch", Math.max(0, restsUntil - performance.now()), load);
}

async function load() {
  if (isAsleep || isPressed || body.dataset.paused) return;
  isFetching = true;
  isWanted = false;
  const target = told, began = performance.now();
  const fetched = await page();
  isFetching = false;
  if (isAsleep) return;
  const wasFetched = isFetched;
  isFetched = fetched !== null;
  // A server that takes its time is asked less often.
  restsUntil = performance.now() + (isFetched ? Math.max(THROTTLE, performance.now() - began) : NEXT_TRY);
  if (isPressed || body.dataset.paused) isWanted = true;
  else if (fetched) {
    seen = target;
    put(fetched);
  } else isWanted = true;
  if (isPolling) {
    if (isFetched && !wasFetched) connect(); // the server is back
    later("poll", POLL, refresh);
  } else if (isWanted) refresh();
  show();
}

/** Return the page as it is now; null when the server doesn't say. @returns {Promise<Document | null>} */
async function page() {
  try {
    const response = await fetch(location.href, { headers: { "X-Live": "1" }, cache: "no-store" });
    // Signed out, not allowed any more, or gone: the whole page says it better.
    if (response.redirected || [401, 403, 404, 410].includes(response.status)) location.reload();
    else if (response.ok) return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    // No answer.
  }
  return null;
}

/** @param {Document} fetched */
function put(fetched) {
  const { regions, busy } = swap(fetched);
  held = busy;
  if (regions.length) document.dispatchEvent(new CustomEvent("live:swapped", { detail: { regions } }));
}

// -- what a person does -----------------------------------------------------------------------------------------------

let isPressed = false; // what is pressed must still be there when it is let go, or it was no click

function press() {
  isPressed = true;
}

function letGo() {
  setTimeout(() => {
    isPressed = false;
    if (isWanted) refresh();
  });
}

function pauseOrGoOn() {
  show();
  if (!body.dataset.paused) refresh();
}

/** Show what was held back as soon as nobody edits or selects any more. */
function goOn() {
  if (held === "text" && document.getSelection()?.isCollapsed) refresh();
  if (held === "input") setTimeout(refresh); // the focus is on its way
}

// -- sleeping and waking ----------------------------------------------------------------------------------------------

function wake() {
  clearTimeout(timers.sleep);
  otherTabs?.postMessage("awake");
  if (!isAsleep) return;
  isAsleep = false;
  failures = 0;
  connect();
  if (isWanted) refresh();
}

/** Give the place at the server to others. What changes meanwhile is told when the page wakes up. */
function sleep() {
  isAsleep = true;
  isOpen = isPolling = false;
  for (const timer of Object.values(timers)) clearTimeout(timer);
  source?.close();
  source = null;
}

function start() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) later("sleep", HIDDEN, sleep);
    else wake();
  });
  // A browser makes six connections to a server and no more: the tab that is looked at must get one.
  otherTabs?.addEventListener("message", () => document.hidden && sleep());
  window.addEventListener("pagehide", sleep);
  window.addEventListener("pageshow", (event) => event.persisted && wake());
  window.addEventListener("online", () => !isAsleep && !source && connect());
  document.addEventListener("pointerdown", press);
  document.addEventListener("pointerup", letGo);
  document.addEventListener("pointercancel", letGo);
  document.addEventListener("selectionchange", goOn);
  document.addEventListener("focusout", goOn);
  new MutationObserver(pauseOrGoOn).observe(body, { attributeFilter: ["data-paused"] });
  if (!document.hidden) wake();
}

if (body.dataset.liveUrl) start();
