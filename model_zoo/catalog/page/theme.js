"use strict";
// Runs before the first paint, so that the page never flashes in the wrong colours.
(() => {
  const names = ["auto", "light", "dark"];
  let stored = null;
  try {
    stored = localStorage.getItem("model-zoo-theme");
  } catch {
    // some browsers deny storage to pages on disk
  }
  let now = names.includes(stored) ? stored : "auto";
  const root = document.documentElement;
  root.dataset.view = location.hash.startsWith("#/model/") ? "model" : location.hash.length > 2 ? "list" : "start";
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
        // then it lasts for this visit
      }
      apply();
    });
  });
})();
