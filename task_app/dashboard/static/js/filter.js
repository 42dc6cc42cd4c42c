// The filter box: completes names of fields, then values that are there; each filter becomes part of the address.
// Without this script the form sends "name:value", and the server reads it.

const form = document.querySelector("[data-filter]");
const input = form.querySelector("input[role=combobox]");
const list = form.querySelector("[role=listbox]");
const fields = JSON.parse(input.dataset.fields); // [{name, label, values: bool}]
let options = []; // [{text, note, pick, of}]; `of`: the field whose value it is
let chosen = -1;
let isMoved = false; // by the arrow keys: then the same stays chosen when more options come
let asked = 0;

/** Split "task:ad" into the field and what is typed of the value; null while the name is being typed. */
function parts(text) {
  const at = text.indexOf(":");
  if (at < 1) return null;
  const name = text.slice(0, at).trim();
  return { field: fields.find((field) => field.name === name) ?? { name }, typed: text.slice(at + 1).trimStart() };
}

function show(found, hint = "") {
  const kept = isMoved ? found.findIndex((option) => option.text === options[chosen]?.text) : -1;
  options = found;
  chosen = found.length ? Math.max(0, kept) : -1;
  list.replaceChildren(...found.map((option, index) => {
    const item = document.createElement("li");
    item.id = `filter-option-${index}`;
    item.role = "option";
    item.append(option.text);
    if (option.note) {
      const note = document.createElement("span");
      note.className = "muted";
      note.textContent = option.note;
      item.append(note);
    }
    item.addEventListener("mousedown", (event) => { event.preventDefault(); option.pick(); });
    return item;
  }));
  if (!found.length && hint) {
    const item = document.createElement("li");
    item.className = "hint";
    item.role = "presentation";
    item.textContent = hint;
    list.append(item);
  }
  open(found.length > 0 || hint !== "");
  choose(chosen);
}

function open(is) {
  list.hidden = !is;
  input.setAttribute("aria-expanded", String(is));
}

function choose(index) {
  chosen = index;
  [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  if (index >= 0) {
    input.setAttribute("aria-activedescendant", `filter-option-${index}`);
    list.children[index]?.scrollIntoView({ block: "nearest" });
  } else input.removeAttribute("aria-activedescendant");
}

/** Go to the list with one more filter. */
function add(name, value) {
  const url = new URL(location.href);
  url.searchParams.delete("cursor");
  url.searchParams.set(name, value);
  location.href = url;
}

function names() {
  const typed = input.value.trim().toLowerCase();
  const found = fields.filter((field) => field.name.includes(typed) || field.label.toLowerCase().includes(typed));
  show(found.map((field) => ({
    text: field.name,
    note: field.label,
    pick: () => { input.value = `${field.name}:`; input.focus(); suggest(); },
  })), "Type a name, a colon and a value");
}

async function values({ field, typed }) {
  const mine = asked;
  const free = typed ? [{ text: `${field.name}: ${typed}`, note: "exactly", pick: () => add(field.name, typed) }] : [];
  if (!field.values) { show(free, field.label ?? "Type the value"); return; }
  // Until the answer is there: what Enter chooses is what one sees, and fits what is typed.
  show([...options.filter((option) => option.of === field.name && option.text.startsWith(typed)), ...free], "…");
  const url = new URL(form.dataset.filter, location.href);
  url.searchParams.set("field", field.name);
  url.searchParams.set("prefix", typed);
  let found = [];
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    if (response.ok) found = (await response.json()).names;
  } catch { /* offline: what is typed can still be used */ }
  if (mine !== asked) return;
  const known = found.map((name) => ({ text: name, of: field.name, pick: () => add(field.name, name) }));
  show(known.length ? (found.includes(typed) ? known : [...known, ...free]) : free, "Nothing of this is there");
}

function suggest() {
  isMoved = false;
  asked += 1; // an answer that is still on its way is late
  const typed = parts(input.value);
  if (typed) values(typed); else names();
}

input.addEventListener("input", suggest);
input.addEventListener("focus", suggest);
input.addEventListener("blur", () => open(false));
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) { suggest(); return; }
    isMoved = true;
    if (options.length) choose((chosen + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
  } else if (event.key === "Enter" && !list.hidden && chosen >= 0) {
    event.preventDefault();
    options[chosen].pick();
  } else if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    event.stopPropagation();
    open(false);
  }
});
