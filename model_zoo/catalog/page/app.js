"use strict";
// The list: what the address says is shown, and what a person changes goes into the address.
(() => {
  const PAGE = 50;
  const data = window.modelZoo;
  const by = (id) => document.getElementById(id);
  const NAME = 0, ABOUT = 1, TASK = 2, FRAMEWORK = 3, LICENCE = 4, SIZE = 5, PRECISIONS = 6, SOURCES = 7, CACHED = 8, CONVERTIBLE = 9;
  const SIZES = [["under 1 MB", 0, 1e6], ["1 to 10 MB", 1e6, 1e7], ["10 to 100 MB", 1e7, 1e8], ["100 MB to 1 GB", 1e8, 1e9], ["1 GB and more", 1e9, Infinity], ["unknown", null, null]];
  const sizeClass = (bytes) => (bytes === null ? 5 : SIZES.findIndex(([, from, to]) => bytes >= from && bytes < to));
  const dictionary = (values, shown) => ({ values, show: shown || ((value) => value) });
  const FACETS = [
    { key: "task", title: "Task", open: true, of: (m) => m[TASK], ...dictionary(data.tasks, words) },
    { key: "framework", title: "Framework", open: true, of: (m) => m[FRAMEWORK], ...dictionary(data.frameworks, (v) => v || "composite") },
    { key: "size", title: "Size", open: true, fixed: true, of: (m) => sizeClass(m[SIZE]), ...dictionary(SIZES.map(([title]) => title)) },
    { key: "precision", title: "Precision", of: (m) => m[PRECISIONS], ...dictionary(data.precisions) },
    { key: "source", title: "Source", of: (m) => m[SOURCES], ...dictionary(data.sources) },
    { key: "license", title: "Licence", of: (m) => m[LICENCE], ...dictionary(data.licenses, shortLicence) },
    { key: "cached", title: "On this machine", fixed: true, of: (m) => (m[CACHED] ? 0 : 1), ...dictionary(["cached", "not cached"]) },
    { key: "convertible", title: "OpenVINO", fixed: true, of: (m) => (m[CONVERTIBLE] ? 0 : 1), ...dictionary(["convertible", "files only"]) },
  ];
  const models = data.models;
  const places = new Map(models.map((m, index) => [m[NAME], index]));
  const texts = models.map((m) => `${m[NAME]} ${words(m[NAME])} ${words(data.tasks[m[TASK]])} ${data.frameworks[m[FRAMEWORK]] || ""} ${m[ABOUT]}`.toLowerCase());
  const names = models.map((m) => m[NAME].toLowerCase());
  const boxes = new Map();
  let wish = { query: "", sort: "", page: 1, chosen: {} };
  let lastList = "#/";
  let cameFrom = null;

  const has = (value, index) => (Array.isArray(value) ? value.includes(index) : value === index);

  // --- the address

  const readAddress = () => {
    const hash = location.hash.startsWith("#/") ? location.hash.slice(2) : "";
    if (hash.startsWith("model/")) {
      try {
        return { model: decodeURIComponent(hash.slice(6)) };
      } catch {
        return { model: hash.slice(6) };
      }
    }
    const fields = new URLSearchParams(hash.replace(/^\?/, ""));
    const chosen = {};
    for (const facet of FACETS) {
      const found = fields.getAll(facet.key).map((value) => facet.values.findIndex((v) => (v || "composite") === value)).filter((i) => i >= 0);
      if (found.length) chosen[facet.key] = new Set(found);
    }
    return { query: fields.get("q") || "", sort: fields.get("sort") || "", page: Math.max(1, parseInt(fields.get("page"), 10) || 1), chosen };
  };

  const addressOf = () => {
    const fields = new URLSearchParams();
    if (wish.query) fields.set("q", wish.query);
    for (const facet of FACETS) for (const index of wish.chosen[facet.key] || []) fields.append(facet.key, facet.values[index] || "composite");
    if (wish.sort) fields.set("sort", wish.sort);
    if (wish.page > 1) fields.set("page", wish.page);
    const text = fields.toString();
    return text ? `#/?${text}` : "#/";
  };

  const change = (changes) => {
    wish = { ...wish, page: 1, ...changes };
    history.replaceState(null, "", addressOf());
    showList();
  };

  // --- search and filters

  const passes = (m, except) => FACETS.every((facet) => facet.key === except || !wish.chosen[facet.key] || [...wish.chosen[facet.key]].some((index) => has(facet.of(m), index)));

  const rank = (index, first) => (names[index] === first ? 0 : names[index].startsWith(first) ? 1 : names[index].includes(first) ? 2 : 3);

  const search = () => {
    const parts = wish.query.toLowerCase().split(/\s+/).filter(Boolean);
    let found = models.map((_, index) => index);
    if (parts.length) found = found.filter((index) => parts.every((part) => texts[index].includes(part)));
    return { parts, found };
  };

  const sorted = (found, parts) => {
    const size = (index) => models[index][SIZE];
    if (wish.sort) {
      const sign = wish.sort === "large" ? -1 : 1;
      // models of unknown size come last, whichever way round
      return found.sort((a, b) => (size(a) === null) - (size(b) === null) || sign * (size(a) - size(b)) || a - b);
    }
    if (!parts.length) return found;
    const ranks = new Map(found.map((index) => [index, rank(index, parts[0])]));
    return found.sort((a, b) => ranks.get(a) - ranks.get(b) || a - b);
  };

  const makeFacets = () => {
    for (const facet of FACETS) {
      const order = facet.values.map((_, index) => index);
      if (!facet.fixed) order.sort((a, b) => facet.show(facet.values[a]).localeCompare(facet.show(facet.values[b])));
      const rows = order.map((index) => {
        const box = dom("input", { type: "checkbox", name: facet.key, value: facet.values[index] || "composite" });
        const number = dom("span", { class: "number" });
        box.addEventListener("change", () => {
          const set = new Set(wish.chosen[facet.key] || []);
          if (box.checked) set.add(index);
          else set.delete(index);
          change({ chosen: { ...wish.chosen, [facet.key]: set.size ? set : undefined } });
        });
        boxes.set(`${facet.key} ${index}`, { box, number });
        return dom("label", {}, box, dom("span", {}, facet.show(facet.values[index])), number);
      });
      by("facets").append(dom("details", { class: "facet", open: facet.open }, dom("summary", {}, facet.title), dom("fieldset", {}, dom("legend", { class: "unseen" }, facet.title), ...rows)));
    }
  };

  const showFacets = (matching) => {
    let active = 0;
    for (const facet of FACETS) {
      const counts = new Array(facet.values.length).fill(0);
      for (const index of matching) {
        const m = models[index];
        if (!passes(m, facet.key)) continue;
        const value = facet.of(m);
        if (Array.isArray(value)) for (const one of value) counts[one] += 1;
        else counts[value] += 1;
      }
      facet.values.forEach((_, index) => {
        const { box, number } = boxes.get(`${facet.key} ${index}`);
        box.checked = Boolean(wish.chosen[facet.key]?.has(index));
        active += box.checked;
        number.textContent = counts[index].toLocaleString("en");
        box.parentElement.classList.toggle("none", counts[index] === 0);
      });
    }
    by("active").textContent = active ? `(${active} in use)` : "";
    by("reset").hidden = !active && !wish.query;
  };

  const showChips = () => {
    const chips = [];
    for (const facet of FACETS)
      for (const index of wish.chosen[facet.key] || []) {
        const text = facet.show(facet.values[index]);
        const off = () => {
          const set = new Set(wish.chosen[facet.key]);
          set.delete(index);
          change({ chosen: { ...wish.chosen, [facet.key]: set.size ? set : undefined } });
          by("main").focus();
        };
        chips.push(dom("li", {}, dom("button", { type: "button", "aria-label": `Remove filter ${facet.title}: ${text}`, on: { click: off } }, `${text} ×`)));
      }
    by("chips").replaceChildren(...chips);
    by("chips").hidden = !chips.length;
  };

  const row = (index) => {
    const m = models[index];
    const link = dom("a", { href: `#/model/${encodeURIComponent(m[NAME])}` }, m[NAME]);
    const badges = [m[CACHED] ? dom("span", { class: "badge" }, "cached") : null, m[CONVERTIBLE] ? null : dom("span", { class: "badge warn" }, "files only")];
    const meta = [words(data.tasks[m[TASK]]), data.frameworks[m[FRAMEWORK]] || "composite", humanSize(m[SIZE]), shortLicence(data.licenses[m[LICENCE]]), m[PRECISIONS].map((p) => data.precisions[p]).join(" ")];
    return dom("li", {}, dom("h2", {}, link, ...badges), dom("p", { class: "about" }, m[ABOUT]), dom("p", { class: "meta" }, ...meta.filter(Boolean).map((text) => dom("span", {}, text))));
  };

  const showList = () => {
    by("model").hidden = true;
    by("browse").hidden = false;
    document.title = wish.query ? `${wish.query} | Model catalog` : "Model catalog";
    if (by("query").value.trim() !== wish.query) by("query").value = wish.query;
    by("sort").value = wish.sort;
    const { parts, found: matching } = search();
    showFacets(matching);
    showChips();
    const found = sorted(matching.filter((index) => passes(models[index])), parts);
    const last = Math.max(1, Math.ceil(found.length / PAGE));
    const page = Math.min(wish.page, last);
    const shown = found.slice((page - 1) * PAGE, page * PAGE);
    by("list").replaceChildren(...shown.map(row));
    by("list").setAttribute("start", (page - 1) * PAGE + 1);
    if (!found.length) by("list").append(dom("li", { class: "empty" }, "No model matches. Use fewer words, or clear a filter."));
    const total = found.length.toLocaleString("en");
    by("count").textContent = found.length === models.length ? `${total} models` : `${total} of ${models.length.toLocaleString("en")} models`;
    by("pages").hidden = last === 1;
    by("page").textContent = `Page ${page} of ${last}`;
    by("previous").disabled = page === 1;
    by("next").disabled = page === last;
    lastList = addressOf();
  };

  // --- one model

  const waiting = new Map();
  window.modelZooShard = (number, details) => {
    waiting.get(number)?.resolve(details);
  };
  const shard = (number) => {
    if (!waiting.has(number)) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => {
        entry.resolve = resolve;
        const script = dom("script", { src: `data/models-${String(number).padStart(4, "0")}.js` });
        script.addEventListener("error", () => {
          waiting.delete(number);
          reject(new Error("not there"));
        });
        document.head.append(script);
      });
      waiting.set(number, entry);
    }
    return waiting.get(number).promise;
  };

  const showModel = async (name) => {
    const index = places.get(name);
    let parts;
    if (index === undefined) {
      parts = [dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")), dom("h1", { tabindex: -1 }, "No such model"), dom("p", { class: "lead" }, `The catalog has no model named ${name}.`)];
    } else {
      try {
        const details = await shard(Math.floor(index / data.shard));
        const same = models.filter((m) => m[TASK] === models[index][TASK] && m[NAME] !== name).slice(0, 12);
        parts = modelPage(details[index % data.shard], same.map((m) => m[NAME]));
      } catch {
        parts = [dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")), dom("h1", { tabindex: -1 }, name), dom("p", { class: "problem" }, "The file with its details could not be read. The folder of this page may have been copied in part.")];
      }
    }
    if (readAddress().model !== name) return; // somebody was faster than the disk
    by("model").replaceChildren(...parts);
    by("back").setAttribute("href", lastList);
    by("browse").hidden = true;
    by("model").hidden = false;
    document.title = `${name} | Model catalog`;
    window.scrollTo(0, 0);
    by("model").querySelector("h1").focus({ preventScroll: true });
    cameFrom = name;
  };

  const route = () => {
    const address = readAddress();
    if (address.model !== undefined) {
      showModel(address.model);
      return;
    }
    wish = address;
    showList();
    if (cameFrom !== null) {
      // whoever comes back is put where they left
      const link = [...by("list").querySelectorAll("a")].find((a) => a.textContent === cameFrom);
      if (link) link.focus();
      else by("main").focus();
      cameFrom = null;
    }
  };

  const turn = (by_) => {
    change({ page: wish.page + by_ });
    window.scrollTo(0, 0);
    by("main").focus({ preventScroll: true });
    say(by("page").textContent);
  };

  makeFacets();
  by("drawer").open = window.innerWidth > 832;
  by("query").addEventListener("input", () => change({ query: by("query").value.trim() }));
  by("sort").addEventListener("change", () => change({ sort: by("sort").value }));
  by("reset").addEventListener("click", () => {
    change({ query: "", chosen: {} });
    by("query").focus();
  });
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("previous").addEventListener("click", () => turn(-1));
  by("next").addEventListener("click", () => turn(1));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    (by("browse").hidden ? by("model") : by("main")).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || by("browse").hidden) return;
    event.preventDefault();
    by("query").focus();
  });
  by("foot").textContent = `${models.length.toLocaleString("en")} models, written by model-zoo ${data.version}. Nothing on this page is loaded from elsewhere.`;
  window.addEventListener("hashchange", route);
  route();
})();
