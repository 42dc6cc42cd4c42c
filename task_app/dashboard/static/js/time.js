// Moments: written by the server in UTC, shown as people choose (relative, local or UTC); the other forms are in the title.

const choice = document.querySelector("select[data-clock]");
const stored = () => { try { return localStorage.getItem("clock") || "relative"; } catch { return "relative"; } };
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
const local = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Write how far away a moment is, in its largest unit: "3 min ago", "in 2 h". */
function relative(moment, now) {
  const seconds = (now - moment) / 1000;
  const size = Math.abs(seconds);
  if (size < 1) return "just now";
  const [unit, length] = UNITS.find(([, length]) => size >= length) ?? UNITS.at(-1);
  const text = `${Math.floor(size / length)} ${unit}`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

function utc(moment) {
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function show() {
  const how = choice?.value ?? stored();
  const now = Date.now();
  for (const element of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const words = { relative: relative(moment, now), local: local.format(moment), utc: utc(moment) };
    const text = element.dataset.clock === "absolute" && how === "relative" ? words.local : words[how];
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = `${local.format(moment)} (${zone})\n${utc(moment)}`;
  }
}

if (choice) {
  choice.hidden = false;
  choice.value = stored();
  choice.addEventListener("change", () => {
    try { localStorage.setItem("clock", choice.value); } catch { /* then it lasts until the next page */ }
    show();
  });
}
document.addEventListener("live:swapped", show);
setInterval(() => { if (!document.hidden) show(); }, 1000);
show();
