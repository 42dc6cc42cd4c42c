// Copy buttons: data-copy names the element whose text is copied, or data-copy-text is the text itself.

async function write(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Plain HTTP on another machine has no clipboard; an old way has.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("this browser does not let pages copy");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-text]");
  if (!button) return;
  const source = button.dataset.copy ? document.querySelector(button.dataset.copy) : null;
  const label = (button.dataset.label ??= button.textContent);
  if (button.dataset.copy && !source) { button.textContent = "Not copied"; return; }
  const text = source ? ("value" in source ? source.value : source.textContent) : button.dataset.copyText ?? "";
  try {
    await write(text.trim());
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
});
