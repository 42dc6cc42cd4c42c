// Forms of jobs: the commands follow what is typed, moments get the zone of the browser, ticks and texts agree.
// Without this script the form works the same; the commands then are those of the last time it was sent.

const form = document.querySelector(".job-form");
const PAUSE = 300; // ms without a key before the commands are asked for
const LARGE = 100_000; // characters; what is larger is sent only when a field is left

// -- commands -----------------------------------------------------------------------------------------------------

const place = document.getElementById("commands");
let waiting = 0;
let asking = new AbortController();

async function showCommands() {
  asking.abort();
  asking = new AbortController();
  try {
    const typed = [...new FormData(form)].filter(([, value]) => typeof value === "string"); // a chosen file is sent once
    const body = new URLSearchParams(typed);
    const response = await fetch(form.dataset.commands, { method: "POST", body, signal: asking.signal });
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    place.innerHTML = await response.text(); // our own template, in which everything typed is escaped
    place.removeAttribute("data-old");
  } catch (error) {
    if (error.name !== "AbortError") place.dataset.old = "true";
  }
}

function soon(pause) {
  clearTimeout(waiting);
  waiting = setTimeout(showCommands, pause);
}

function size() {
  return [...form.elements].reduce((sum, element) => sum + (element.value?.length ?? 0), 0);
}

if (form.dataset.commands) {
  form.addEventListener("input", () => { if (size() < LARGE) soon(PAUSE); });
  form.addEventListener("change", () => soon(0));
}

// -- moments ------------------------------------------------------------------------------------------------------

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const select of form.querySelectorAll("select[data-zone][data-aware]")) {
  if (!zone) break;
  const known = [...select.options].find((option) => option.value === zone);
  if (!known) select.prepend(new Option(`${zone} (here)`, zone));
  if (!("chosen" in select.dataset)) select.value = zone;
}

// -- ticks that say what emptiness means ----------------------------------------------------------------------------

for (const tick of form.querySelectorAll("[data-without]")) {
  const input = document.getElementById(tick.dataset.without);
  let before = "";
  tick.addEventListener("change", () => {
    if (tick.checked) [before, input.value] = [input.value, ""];
    else if (!input.value) { input.value = before; input.focus(); }
  });
  input.addEventListener("input", () => { if (input.value) tick.checked = false; });
}

// -- sending --------------------------------------------------------------------------------------------------------

form.addEventListener("submit", (event) => {
  // Half a date or a letter among digits: the browser would send nothing in its place, and what was typed would be lost.
  const broken = [...form.elements].find((element) => element.validity?.badInput);
  if (broken) {
    event.preventDefault();
    broken.reportValidity();
    return;
  }
  const button = form.querySelector(".send button");
  setTimeout(() => { button.disabled = true; });
});
window.addEventListener("pageshow", () => { form.querySelector(".send button").disabled = false; });
