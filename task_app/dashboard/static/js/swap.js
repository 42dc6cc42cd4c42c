/**
 * Swaps the regions of a page (`<section data-live id="…">`) for those of the page as it was just fetched, and leaves
 * what a person was doing there as it was: focus, open details, scrolled boxes, inputs that were changed. Elements are
 * found again by their id or `data-row`, or by their place below one that has such a name.
 */

/** What the server said last of each region: scripts may have changed it since. @type {WeakMap<Element, string>} */
const served = new WeakMap();

const EDITED = "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), select, textarea, [contenteditable]";

/**
 * Swap what differs. A region in which somebody edits or has selected text is left as it is.
 *
 * @param {Document} fetched
 * @returns {{regions: Element[], busy: "" | "input" | "text"}} what was swapped, and why something was not
 */
export function swap(fetched) {
  /** @type {Element[]} */
  const regions = [];
  /** @type {"" | "input" | "text"} */
  let busy = "";
  const { scrollX, scrollY } = window;
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const fresh = fetched.getElementById(region.id);
    const html = fresh?.outerHTML;
    if (!html || html === (served.get(region) ?? region.outerHTML)) continue;
    const why = occupied(region);
    busy ||= why;
    if (why) continue;
    served.set(region, html);
    const restore = remember(region);
    region.replaceChildren(...fresh.childNodes);
    copyAttributes(fresh, region);
    restore();
    regions.push(region);
  }
  if (window.scrollX !== scrollX || window.scrollY !== scrollY) window.scrollTo(scrollX, scrollY);
  if (document.title !== fetched.title) document.title = fetched.title;
  return { regions, busy };
}

/** @param {Element} region @returns {"" | "input" | "text"} */
function occupied(region) {
  const focused = document.activeElement;
  if (focused && region.contains(focused) && focused.matches(EDITED)) return "input";
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(region, true) ? "text" : "";
}

/**
 * Note what a person has done in a region; return a function that does it again in the new content.
 *
 * @param {Element} region
 */
function remember(region) {
  /** @type {{where: [string, number[]], deed: (element: any) => void}[]} */
  const deeds = [];
  const note = (element, deed) => deeds.push({ where: address(element, region), deed });
  for (const element of region.querySelectorAll("*")) {
    const { scrollLeft, scrollTop } = element;
    if (scrollLeft || scrollTop) note(element, (it) => it.scrollTo(scrollLeft, scrollTop));
    if (element instanceof HTMLDetailsElement) note(element, ((open) => (it) => { it.open = open; })(element.open));
    if (element.matches("input, select, textarea")) noteInput(element, note);
  }
  const focused = document.activeElement;
  if (focused && focused !== region && region.contains(focused)) {
    note(focused, (it) => it.focus({ preventScroll: true }));
  }
  return () => {
    for (const { where, deed } of deeds) {
      const element = find(where, region);
      if (element) deed(element);
    }
  };
}

/** @param {any} input @param {(element: Element, deed: (element: any) => void) => void} note */
function noteInput(input, note) {
  const { value, checked } = input;
  const isChosen = input.options && [...input.options].some((option) => option.selected !== option.defaultSelected);
  if (isChosen || (!input.options && value !== input.defaultValue)) note(input, (it) => { it.value = value; });
  if (checked !== input.defaultChecked) note(input, (it) => { it.checked = checked; });
}

/**
 * Say where an element is: the nearest one with a name that lasts, and the steps down from there.
 *
 * @param {Element} element @param {Element} region @returns {[string, number[]]}
 */
function address(element, region) {
  const steps = [];
  let at = element;
  while (at !== region && !name(at)) {
    steps.unshift([...at.parentElement.children].indexOf(at));
    at = at.parentElement;
  }
  return [name(at), steps];
}

/** @param {any} element @returns {string} a selector, or "" */
function name({ id, dataset }) {
  if (id) return `#${CSS.escape(id)}`;
  return dataset?.row ? `[data-row="${CSS.escape(dataset.row)}"]` : "";
}

/** @param {[string, number[]]} where @param {Element} region @returns {Element | null} */
function find([selector, steps], region) {
  let at = document.querySelector(selector);
  for (const step of steps) at = at?.children[step] ?? null;
  return at && region.contains(at) ? at : null;
}

/** @param {Element} from @param {Element} to */
function copyAttributes(from, to) {
  for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
  for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
}
