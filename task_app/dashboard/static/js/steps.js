// An action on many jobs goes in steps; this goes on by itself until somebody stops it.
const form = document.querySelector("[data-steps]");
if (form) {
  let stopped = false;
  form.querySelector("[data-stop]").addEventListener("click", () => { stopped = true; });
  setTimeout(() => { if (!stopped) form.requestSubmit(); }, 50);
}
