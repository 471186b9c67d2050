"use strict";
// Before anything is painted, so that the page never flashes in the wrong colours.
(() => {
  const names = ["auto", "light", "dark"];
  let kept = null;
  try {
    kept = localStorage.getItem("model-zoo-theme");
  } catch {
    // some browsers give pages from disk no storage
  }
  let now = names.includes(kept) ? kept : "auto";
  const root = document.documentElement;
  const apply = () => {
    if (now === "auto") delete root.dataset.theme;
    else root.dataset.theme = now;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${now}`;
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      now = names[(names.indexOf(now) + 1) % names.length];
      try {
        localStorage.setItem("model-zoo-theme", now);
      } catch {
        // then it holds for this visit
      }
      apply();
    });
  });
})();
