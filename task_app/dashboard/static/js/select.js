// Selecting rows: the bar says how many, live updates rest meanwhile, and "all matching" says N.

const bar = document.querySelector("#bulk");
if (bar) {
  const words = bar.querySelector("[data-selected]");
  const all = bar.querySelector("[data-all]");
  const boxes = () => [...document.querySelectorAll("input[name=job_id]")];
  let last = null;

  const update = () => {
    const number = boxes().filter((box) => box.checked).length;
    const any = number > 0 || Boolean(all?.checked);
    bar.toggleAttribute("data-idle", !any);
    words.textContent = all?.checked ? "With all matching jobs:" : `With ${number} selected:`;
    for (const button of bar.querySelectorAll("button")) button.disabled = !any;
    for (const head of document.querySelectorAll("[data-select-all]")) {
      head.checked = number > 0 && number === boxes().length;
      head.indeterminate = number > 0 && number < boxes().length;
    }
    if (any) document.body.dataset.paused = "Paused while rows are selected";
    else delete document.body.dataset.paused;
    document.dispatchEvent(new Event("live:pause"));
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-all]")) for (const box of boxes()) box.checked = event.target.checked;
    if (event.target.matches("[data-select-all], input[name=job_id], [data-all]")) update();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.matches("input[name=job_id]")) return;
    const list = boxes();
    const at = list.indexOf(event.target);
    if (event.shiftKey && last !== null && last < list.length) {
      for (const box of list.slice(Math.min(at, last), Math.max(at, last) + 1)) box.checked = event.target.checked;
    }
    last = at;
    update();
  });
  document.addEventListener("live:swapped", update);
  update();
}
