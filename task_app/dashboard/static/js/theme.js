// Colours as chosen, before the first paint; the choice stays in this browser.
(() => {
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } };
  const apply = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.querySelector("[data-theme-choice]");
    if (!choice) return;
    choice.hidden = false;
    choice.value = stored();
    choice.addEventListener("change", () => {
      try { localStorage.setItem("theme", choice.value); } catch { /* then it lasts until the next page */ }
      apply(choice.value);
    });
  });
})();
