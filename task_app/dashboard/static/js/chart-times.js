// Time axes in the clock that people chose: the server writes UTC, with ticks where UTC has round times.
// Ticks are moved to where the local clock is round; one that falls off the end is hidden.

const choice = document.querySelector("select[data-clock]");

const label = (moment, step) => {
  const isDay = step >= 86400 || moment.getHours() + moment.getMinutes() + moment.getSeconds() === 0;
  const form = isDay
    ? { day: "numeric", month: "short" }
    : { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < 60 && { second: "2-digit" }) };
  return new Intl.DateTimeFormat(undefined, form).format(moment);
};

function move(tick, chart, isLocal) {
  const { start, step, count } = chart.dataset;
  const text = tick.querySelector("text");
  tick.dataset.utc ??= text.textContent;
  const width = Number(step) * Number(count);
  const every = Number(tick.dataset.step);
  let at = Number(tick.dataset.at);
  if (isLocal) {
    // Round in local time: west of UTC round times come later.
    const offset = new Date(at * 1000).getTimezoneOffset() * 60;
    at += offset - Math.round(offset / every) * every;
  }
  const share = (at - Number(start)) / width;
  tick.toggleAttribute("hidden", share < 0 || share > 1);
  if (share > 0.97) text.setAttribute("text-anchor", "end");
  else text.removeAttribute("text-anchor");
  const x = `${(share * 100).toFixed(2)}%`;
  text.setAttribute("x", x);
  for (const name of ["x1", "x2"]) tick.querySelector("line").setAttribute(name, x);
  text.textContent = isLocal ? label(new Date(at * 1000), every) : tick.dataset.utc;
}

function show() {
  const isLocal = choice?.value !== "utc";
  for (const chart of document.querySelectorAll("figure[data-chart]")) {
    for (const tick of chart.querySelectorAll(".tick")) move(tick, chart, isLocal);
  }
}

choice?.addEventListener("change", show);
document.addEventListener("live:swapped", show);
show();
