"use strict";

// What the page's scripts share.
const report = {
  data: (id) => JSON.parse(document.getElementById(id).textContent),
};

// Light or dark: the system's choice until the reader makes one. Runs before anything is drawn.
report.theme = (() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  const key = "psmt-viz-theme";
  // A page from disk may have no storage; the choice then holds until the page is closed.
  const stored = (action) => {
    try {
      return action(localStorage);
    } catch {
      return null;
    }
  };
  let chosen = stored((storage) => storage.getItem(key));

  let printing = false;

  // Paper is white, whatever the screen is.
  const dark = () => !printing && (chosen === null ? system.matches : chosen === "dark");
  const apply = () => {
    if (chosen !== null) document.documentElement.dataset.theme = chosen;
    for (const listener of listeners) listener(dark());
  };
  const print = (on) => {
    printing = on;
    apply();
  };
  const toggle = () => {
    chosen = dark() ? "light" : "dark";
    stored((storage) => storage.setItem(key, chosen));
    apply();
  };

  if (chosen !== "light" && chosen !== "dark") chosen = null;
  apply();
  system.addEventListener("change", apply);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  return { dark, toggle, onChange: (listener) => listeners.push(listener) };
})();
