"use strict";
// The list: it shows what the address says, and every change goes into the address.
(() => {
  const PAGE = 50;
  const data = window.modelZoo;
  const byId = (id) => document.getElementById(id);
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
  const indexByName = new Map(models.map((m, index) => [m[NAME], index]));
  const texts = models.map((m) => `${m[NAME]} ${words(m[NAME])} ${words(data.tasks[m[TASK]])} ${data.frameworks[m[FRAMEWORK]] || ""} ${m[ABOUT]}`.toLowerCase());
  const names = models.map((m) => m[NAME].toLowerCase());
  const boxes = new Map();
  let view = { query: "", sort: "", page: 1, chosen: {} };
  const counted = (number) => `${number.toLocaleString("en")} ${number === 1 ? "model" : "models"}`;
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
    if (view.query) fields.set("q", view.query);
    for (const facet of FACETS) for (const index of view.chosen[facet.key] || []) fields.append(facet.key, facet.values[index] || "composite");
    if (view.sort) fields.set("sort", view.sort);
    if (view.page > 1) fields.set("page", view.page);
    const text = fields.toString();
    return text ? `#/?${text}` : "#/";
  };

  const change = (changes) => {
    view = { ...view, page: 1, ...changes };
    history.replaceState(null, "", addressOf());
    showList();
  };

  // --- search and filters

  const passes = (m, except) => FACETS.every((facet) => facet.key === except || !view.chosen[facet.key] || [...view.chosen[facet.key]].some((index) => has(facet.of(m), index)));

  const rank = (index, first) => (names[index] === first ? 0 : names[index].startsWith(first) ? 1 : names[index].includes(first) ? 2 : 3);

  const search = () => {
    const parts = view.query.toLowerCase().split(/\s+/).filter(Boolean);
    let found = models.map((_, index) => index);
    if (parts.length) found = found.filter((index) => parts.every((part) => texts[index].includes(part)));
    return { parts, found };
  };

  const sorted = (found, parts) => {
    const size = (index) => models[index][SIZE];
    if (view.sort) {
      const sign = view.sort === "large" ? -1 : 1;
      // models of unknown size come last in either order
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
          const set = new Set(view.chosen[facet.key] || []);
          if (box.checked) set.add(index);
          else set.delete(index);
          change({ chosen: { ...view.chosen, [facet.key]: set.size ? set : undefined } });
        });
        boxes.set(`${facet.key} ${index}`, { box, number });
        return dom("label", {}, box, dom("span", {}, facet.show(facet.values[index])), number);
      });
      byId("facets").append(dom("details", { class: "facet", open: facet.open }, dom("summary", {}, facet.title), dom("fieldset", {}, dom("legend", { class: "unseen" }, facet.title), ...rows)));
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
        if (Array.isArray(value)) for (const entry of value) counts[entry] += 1;
        else counts[value] += 1;
      }
      facet.values.forEach((_, index) => {
        const { box, number } = boxes.get(`${facet.key} ${index}`);
        box.checked = Boolean(view.chosen[facet.key]?.has(index));
        active += box.checked;
        number.textContent = counts[index].toLocaleString("en");
        box.parentElement.classList.toggle("none", counts[index] === 0);
      });
    }
    byId("active").textContent = active ? `(${active} active)` : "";
    byId("reset").hidden = !active && !view.query;
  };

  const showChips = () => {
    const chips = [];
    for (const facet of FACETS)
      for (const index of view.chosen[facet.key] || []) {
        const text = facet.show(facet.values[index]);
        const off = () => {
          const set = new Set(view.chosen[facet.key]);
          set.delete(index);
          change({ chosen: { ...view.chosen, [facet.key]: set.size ? set : undefined } });
          byId("main").focus();
        };
        chips.push(dom("li", {}, dom("button", { type: "button", "aria-label": `Remove filter ${facet.title}: ${text}`, on: { click: off } }, `${text} ×`)));
      }
    byId("chips").replaceChildren(...chips);
    byId("chips").hidden = !chips.length;
  };

  const row = (index) => {
    const m = models[index];
    const link = dom("a", { href: `#/model/${encodeURIComponent(m[NAME])}` }, m[NAME]);
    const badges = [m[CACHED] ? dom("span", { class: "badge" }, "cached") : null, m[CONVERTIBLE] ? null : dom("span", { class: "badge warn" }, "files only")];
    const meta = [words(data.tasks[m[TASK]]), data.frameworks[m[FRAMEWORK]] || "composite", humanSize(m[SIZE]), shortLicence(data.licenses[m[LICENCE]]), m[PRECISIONS].map((p) => data.precisions[p]).join(" ")];
    return dom("li", {}, dom("h2", {}, link, ...badges), dom("p", { class: "about" }, m[ABOUT]), dom("p", { class: "meta" }, ...meta.filter(Boolean).map((text) => dom("span", {}, text))));
  };

  const showList = () => {
    byId("model").hidden = true;
    byId("browse").hidden = false;
    document.title = view.query ? `${view.query} | Model catalog` : "Model catalog";
    if (byId("query").value.trim() !== view.query) byId("query").value = view.query;
    byId("sort").value = view.sort;
    const { parts, found: matching } = search();
    showFacets(matching);
    showChips();
    const found = sorted(matching.filter((index) => passes(models[index])), parts);
    const last = Math.max(1, Math.ceil(found.length / PAGE));
    const page = Math.min(view.page, last);
    const shown = found.slice((page - 1) * PAGE, page * PAGE);
    byId("list").replaceChildren(...shown.map(row));
    byId("list").setAttribute("start", (page - 1) * PAGE + 1);
    if (!found.length) byId("list").append(dom("li", { class: "empty" }, "No model matches. Use fewer words, or clear a filter."));
    const all = counted(models.length);
    byId("count").textContent = found.length === models.length ? all : `${found.length.toLocaleString("en")} of ${all}`;
    byId("pages").hidden = last === 1;
    byId("page").textContent = `Page ${page} of ${last}`;
    byId("previous").disabled = page === 1;
    byId("next").disabled = page === last;
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
    const index = indexByName.get(name);
    let parts;
    if (index === undefined) {
      parts = [dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")), dom("h1", { tabindex: -1 }, "No such model"), dom("p", { class: "lead" }, `The catalog has no model named ${name}.`)];
    } else {
      try {
        const details = await shard(Math.floor(index / data.shard));
        const same = models.filter((m) => m[TASK] === models[index][TASK] && m[NAME] !== name).slice(0, 12);
        parts = modelPage(details[index % data.shard], same.map((m) => m[NAME]));
      } catch {
        parts = [dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")), dom("h1", { tabindex: -1 }, name), dom("p", { class: "problem" }, "The details of this model could not be read. The folder of this page may be incomplete.")];
      }
    }
    if (readAddress().model !== name) return; // another model was chosen meanwhile
    byId("model").replaceChildren(...parts);
    byId("back").setAttribute("href", lastList);
    byId("browse").hidden = true;
    byId("model").hidden = false;
    document.title = `${name} | Model catalog`;
    window.scrollTo(0, 0);
    byId("model").querySelector("h1").focus({ preventScroll: true });
    cameFrom = name;
  };

  const route = () => {
    const address = readAddress();
    if (address.model !== undefined) {
      showModel(address.model);
      return;
    }
    view = address;
    showList();
    if (cameFrom !== null) {
      // return the focus to the link that was followed
      const link = [...byId("list").querySelectorAll("a")].find((a) => a.textContent === cameFrom);
      if (link) link.focus();
      else byId("main").focus();
      cameFrom = null;
    }
  };

  const turnPage = (offset) => {
    change({ page: view.page + offset });
    window.scrollTo(0, 0);
    byId("main").focus({ preventScroll: true });
    announce(byId("page").textContent);
  };

  makeFacets();
  byId("drawer").open = window.innerWidth > 832;
  byId("query").addEventListener("input", () => change({ query: byId("query").value.trim() }));
  byId("sort").addEventListener("change", () => change({ sort: byId("sort").value }));
  byId("reset").addEventListener("click", () => {
    change({ query: "", chosen: {} });
    byId("query").focus();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => turnPage(-1));
  byId("next").addEventListener("click", () => turnPage(1));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    (byId("browse").hidden ? byId("model") : byId("main")).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || byId("browse").hidden) return;
    event.preventDefault();
    byId("query").focus();
  });
  byId("foot").textContent = `${counted(models.length)}, generated by model-zoo ${data.version}. This page loads nothing from other sites.`;
  window.addEventListener("hashchange", route);
  route();
})();
