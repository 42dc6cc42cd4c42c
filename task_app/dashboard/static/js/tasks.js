// The list of tasks narrows while one types; Enter opens the only one that is left. Without this script the form does it.

const input = document.querySelector("[data-find]");
const rows = [...document.querySelectorAll(`${input.dataset.find} tbody tr`)];
const found = document.getElementById("found");

function narrow() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = row.dataset.text.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  found.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} tasks`;
}

input.form.addEventListener("submit", (event) => {
  const left = rows.filter((row) => !row.hidden);
  if (!rows.length || left.length !== 1) return;
  event.preventDefault();
  left[0].querySelector("a").click();
});
// A list that the server has narrowed already would lose rows; then only the server can show the others.
if (!new URLSearchParams(location.search).get("q")) input.addEventListener("input", narrow);
