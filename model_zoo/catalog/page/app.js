"use strict";
// The list: it shows what the address says, and every change goes into the address.
(() => {
  const PAGE = 50, TILES = 12, VARIANTS = 6;
  const data = window.modelZoo;
  const NAME = 0, ABOUT = 1, TASK = 2, FRAMEWORK = 3, LICENCE = 4, SIZE = 5, PRECISIONS = 6, SOURCES = 7, NEEDS = 8, CACHED = 9, CONVERTIBLE = 10, FAMILY = 11, EFFORT = 12;
  const SIZES = [["under 1 MB", 0, 1e6], ["1 to 10 MB", 1e6, 1e7], ["10 to 100 MB", 1e7, 1e8], ["100 MB to 1 GB", 1e8, 1e9], ["1 GB and more", 1e9, Infinity], ["unknown", null, null]];
  const sizeClass = (bytes) => (bytes === null ? 5 : SIZES.findIndex(([, from, to]) => bytes >= from && bytes < to));
  const dictionary = (values, shown) => ({ values, show: shown || ((value) => value) });
  const above = data.tasks.map((task) => data.tasks.indexOf(task.split("/")[0]));
  const narrow = (task) => (task.includes("/") ? plain(task.split("/")[1]) : taskTitle(task));
  const FACETS = [
    { key: "task", title: "Task", open: true, fixed: true, of: (m) => [...new Set([m[TASK], above[m[TASK]]])], inner: narrow, ...dictionary(data.tasks, taskTitle) },
    { key: "license", title: "Licence", open: true, of: (m) => m[LICENCE], ...dictionary(data.licenses) },
    { key: "size", title: "Size", fixed: true, of: (m) => sizeClass(m[SIZE]), ...dictionary(SIZES.map(([title]) => title)) },
    { key: "needs", title: "Needs, to be converted", of: (m) => m[NEEDS], ...dictionary(data.needs) },
    { key: "framework", title: "Framework", of: (m) => m[FRAMEWORK], ...dictionary(data.frameworks, (v) => v || "composite") },
    { key: "precision", title: "Precision", of: (m) => m[PRECISIONS], ...dictionary(data.precisions) },
    { key: "source", title: "Source", of: (m) => m[SOURCES], ...dictionary(data.sources) },
    { key: "cached", title: "On this machine", fixed: true, of: (m) => (m[CACHED] ? 0 : 1), ...dictionary(["cached", "not cached"]) },
    { key: "convertible", title: "OpenVINO", fixed: true, of: (m) => (m[CONVERTIBLE] ? 0 : 1), ...dictionary(["convertible", "files only"]) },
  ];
  const models = data.models;
  const search = makeSearch(data);
  const indexByName = new Map(models.map((m, index) => [m[NAME], index]));
  const boxes = new Map();
  let view = { query: "", sort: "", page: 1, chosen: {} };
  let lastList = "#/";
  let cameFrom = null;

  const has = (value, index) => (Array.isArray(value) ? value.includes(index) : value === index);
  const countsOf = (facet, indices) => {
    const counts = new Array(facet.values.length).fill(0);
    for (const index of indices) {
      const value = facet.of(models[index]);
      if (Array.isArray(value)) for (const entry of value) counts[entry] += 1;
      else counts[value] += 1;
    }
    return counts;
  };

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

  const choose = (facet, index, on) => {
    const set = new Set(view.chosen[facet.key] || []);
    if (on) set.add(index);
    else set.delete(index);
    change({ chosen: { ...view.chosen, [facet.key]: set.size ? set : undefined } });
  };

  // --- filters

  const passes = (m, except) => FACETS.every((facet) => facet.key === except || !view.chosen[facet.key] || [...view.chosen[facet.key]].some((index) => has(facet.of(m), index)));

  const makeFacets = () => {
    for (const facet of FACETS) {
      const totals = countsOf(facet, models.keys());
      const order = [...facet.values.keys()].filter((index) => totals[index]);
      if (order.length < 2) continue; // it would not tell models apart
      if (!facet.fixed) order.sort((a, b) => totals[b] - totals[a]);
      const rows = order.map((index) => {
        const box = dom("input", { type: "checkbox", name: facet.key, value: facet.values[index] || "composite" });
        const number = dom("span", { class: "number" });
        box.addEventListener("change", () => choose(facet, index, box.checked));
        boxes.set(`${facet.key} ${index}`, { box, number });
        const text = (facet.inner || facet.show)(facet.values[index]);
        const below = facet.inner && facet.values[index].includes("/");
        return dom("label", { class: below ? "below" : null }, box, dom("span", {}, text), number);
      });
      byId("facets").append(facet.node = dom("details", { class: "facet", open: facet.open }, dom("summary", {}, facet.title), dom("fieldset", {}, dom("legend", { class: "unseen" }, facet.title), ...rows)));
    }
  };

  const showFacets = (matching) => {
    let active = 0;
    for (const facet of FACETS) {
      const counts = countsOf(facet, matching.filter((index) => passes(models[index], facet.key)));
      facet.node?.toggleAttribute("hidden", !counts.some(Boolean) && !view.chosen[facet.key]);
      facet.values.forEach((_, index) => {
        const entry = boxes.get(`${facet.key} ${index}`);
        if (!entry) return;
        entry.box.checked = Boolean(view.chosen[facet.key]?.has(index));
        active += entry.box.checked;
        entry.number.textContent = counts[index].toLocaleString("en");
        entry.box.parentElement.hidden = counts[index] === 0 && !entry.box.checked;
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
          choose(facet, index, false);
          byId("results").focus();
        };
        chips.push(dom("li", {}, dom("button", { type: "button", "aria-label": `Remove filter ${facet.title}: ${text}`, on: { click: off } }, `${text} ×`)));
      }
    byId("chips").replaceChildren(...chips);
    byId("chips").hidden = !chips.length;
  };

  const makeTiles = () => {
    const counts = countsOf(FACETS[0], models.keys());
    const order = [...data.tasks.keys()].filter((index) => above[index] === index && counts[index]).sort((a, b) => counts[b] - counts[a] || a - b);
    const tile = (index, place) =>
      dom("li", { class: place < TILES ? null : "more" }, dom("a", { class: "tile", href: `#/?task=${encodeURIComponent(data.tasks[index])}` }, icon(data.tasks[index]),
        dom("span", { class: "what" }, taskTitle(data.tasks[index])), dom("span", { class: "number" }, counts[index].toLocaleString("en")), dom("span", { class: "does" }, data.does[index])));
    const list = dom("ul", {}, ...order.map(tile));
    const toggle = dom("button", { type: "button", class: "link", "aria-expanded": "false" }, `All ${order.length} tasks`);
    toggle.addEventListener("click", () => {
      const open = list.classList.toggle("open");
      toggle.setAttribute("aria-expanded", open);
      toggle.textContent = open ? "Fewer tasks" : `All ${order.length} tasks`;
    });
    byId("tiles").append(list, ...(order.length > TILES ? [toggle] : []));
  };

  // --- the rows

  // Models of one family are one row, at the place of the first of them.
  const grouped = (found) => {
    const rows = [];
    const rowOf = new Map();
    for (const index of found) {
      const family = models[index][FAMILY];
      if (family >= 0 && rowOf.has(family)) rowOf.get(family).push(index);
      else {
        const row = [index];
        if (family >= 0) rowOf.set(family, row);
        rows.push(row);
      }
    }
    return rows;
  };

  const sorted = (found, parts) => {
    const size = (index) => models[index][SIZE];
    if (view.sort === "name") return found;
    if (view.sort) {
      const sign = view.sort === "large" ? -1 : 1;
      // models of unknown size come last in either order
      return found.sort((a, b) => (size(a) === null) - (size(b) === null) || sign * (size(a) - size(b)) || a - b);
    }
    const query = view.query.toLowerCase();
    const ranks = new Map(found.map((index) => [index, parts.length ? search.rank(index, query, parts) : 0]));
    return found.sort((a, b) => ranks.get(a) - ranks.get(b) || models[a][EFFORT] - models[b][EFFORT] || a - b);
  };

  const each = (indices, of) => [...new Set(indices.flatMap((index) => of(models[index])))];

  const sizeRange = (indices) => {
    const sizes = indices.map((index) => models[index][SIZE]).filter((size) => size !== null);
    if (!sizes.length) return "size unknown";
    const [least, most] = [humanSize(Math.min(...sizes)), humanSize(Math.max(...sizes))];
    return least === most ? least : `${least} to ${most}`;
  };

  const badges = (m) => [m[CACHED] ? dom("span", { class: "badge" }, "cached") : null, m[CONVERTIBLE] ? null : dom("span", { class: "badge warn" }, "files only")];

  const meta = (indices) => {
    const m = models[indices[0]];
    const parts = [taskTitle(data.tasks[m[TASK]]), each(indices, (one) => data.frameworks[one[FRAMEWORK]] || "composite").join(", "), sizeRange(indices), each(indices, (one) => data.licenses[one[LICENCE]]).join(", "), each(indices, (one) => one[PRECISIONS].map((p) => data.precisions[p])).join(" ")];
    return dom("p", { class: "meta" }, ...parts.filter(Boolean).map((text) => dom("span", {}, text)));
  };

  const row = (indices) => {
    const m = models[indices[0]];
    const task = icon(data.tasks[m[TASK]]);
    if (indices.length === 1) return dom("li", {}, task, dom("h2", {}, modelLink(m[NAME]), ...badges(m)), dom("p", { class: "about" }, m[ABOUT]), meta(indices));
    const title = data.families[m[FAMILY]];
    const variant = (index) => {
      const name = models[index][NAME];
      return dom("li", {}, modelLink(name, name.slice(title.length).replace(/^[-_.]/, "") || name));
    };
    const more = indices.length > VARIANTS + 1 ? indices.splice(VARIANTS) : [];
    const list = dom("ul", { class: "variants", "aria-label": `Variants of ${title}` }, ...indices.map(variant));
    if (more.length) {
      const button = dom("button", { type: "button", class: "link", "aria-label": `Show ${more.length} more variants of ${title}` }, `${more.length} more`);
      button.addEventListener("click", () => {
        const added = more.map(variant);
        button.parentElement.replaceWith(...added);
        added[0].firstElementChild.focus();
      });
      list.append(dom("li", {}, button));
    }
    const all = [...indices, ...more];
    return dom("li", { class: "family" }, task, dom("h2", {}, title, dom("span", { class: "badge plain" }, `${all.length} variants`)), dom("p", { class: "about" }, m[ABOUT]), list, meta(all));
  };

  const nothing = () => {
    const near = search.suggestions(view.query);
    const suggestion = (query) => dom("button", { type: "button", class: "link", on: { click: () => { byId("query").focus(); change({ query }); } } }, query);
    const meant = near.length ? dom("p", { class: "meant" }, "Did you mean ", ...near.flatMap((query, i) => [i ? (i === near.length - 1 ? " or " : ", ") : null, suggestion(query)]), "?") : null;
    const filtered = Object.values(view.chosen).some(Boolean);
    return dom("li", { class: "empty" }, dom("p", {}, view.query ? `No model matches “${view.query}”${filtered ? " and these filters" : ""}.` : "No model matches these filters."), meant || dom("p", {}, filtered ? "Clear a filter." : "Use fewer or other words."));
  };

  const showList = () => {
    const start = !view.query && !Object.values(view.chosen).some(Boolean);
    document.documentElement.dataset.view = start ? "start" : "list";
    byId("model").hidden = true;
    byId("main").hidden = false;
    document.querySelector(".skip").setAttribute("href", "#main");
    document.title = view.query ? `${view.query} | Model catalog` : "Model catalog";
    if (byId("query").value.trim() !== view.query) byId("query").value = view.query;
    byId("sort").value = view.sort;
    const { parts, found: matching } = search.found(view.query);
    showFacets(matching);
    showChips();
    const found = sorted(matching.filter((index) => passes(models[index])), parts);
    const rows = grouped(found);
    const last = Math.max(1, Math.ceil(rows.length / PAGE));
    const page = Math.min(view.page, last);
    byId("list").replaceChildren(...rows.slice((page - 1) * PAGE, page * PAGE).map(row));
    byId("list").setAttribute("start", (page - 1) * PAGE + 1);
    if (!found.length) byId("list").append(nothing());
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

  const relatives = (index) => {
    const m = models[index];
    const others = models.filter((one) => one !== m && one[TASK] === m[TASK]);
    const siblings = m[FAMILY] < 0 ? [] : others.filter((one) => one[FAMILY] === m[FAMILY]);
    const around = others.filter((one) => !siblings.includes(one) && (one[FAMILY] < 0 || others.find((other) => other[FAMILY] === one[FAMILY]) === one));
    return { title: data.families[m[FAMILY]], siblings: siblings.map((one) => one[NAME]), around: around.slice(0, 12).map((one) => one[NAME]) };
  };

  const problem = (title, ...text) => [dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")), dom("h1", { tabindex: -1 }, title), dom("p", { class: "problem" }, ...text)];

  const showModel = async (name) => {
    const index = indexByName.get(name);
    let parts;
    if (index === undefined) {
      const near = search.suggestions(plain(name));
      const link = near.length ? dom("a", { href: `#/?q=${encodeURIComponent(near[0])}` }, `Search for ${near[0]}`) : null;
      parts = problem("No such model", `The catalog has no model named ${name}. `, link);
    } else {
      try {
        const details = await shard(Math.floor(index / data.shard));
        parts = modelPage(details[index % data.shard], relatives(index));
      } catch {
        parts = problem(name, "The details of this model could not be read. The folder of this page may be incomplete.");
      }
    }
    if (readAddress().model !== name) return; // another model was chosen meanwhile
    document.documentElement.dataset.view = "model";
    byId("model").replaceChildren(...parts);
    byId("back").setAttribute("href", lastList);
    byId("main").hidden = true;
    document.querySelector(".skip").setAttribute("href", "#model");
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
      const link = [...byId("list").querySelectorAll("a")].find((a) => a.getAttribute("href") === `#/model/${encodeURIComponent(cameFrom)}`);
      (link || byId("results")).focus();
      cameFrom = null;
    } else if (document.activeElement?.classList.contains("tile")) byId("results").focus();
  };

  const turnPage = (offset) => {
    change({ page: view.page + offset });
    byId("results").scrollIntoView();
    byId("results").focus({ preventScroll: true });
    announce(byId("page").textContent);
  };

  makeTiles();
  makeFacets();
  byId("drawer").open = window.innerWidth > 832;
  byId("lead").textContent = `${counted(models.length)}, each with what it takes, what it gives and what it needs: fetched, checked, converted and run with one line.`;
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
    (byId("main").hidden ? byId("model") : byId("results")).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || byId("main").hidden) return;
    event.preventDefault();
    byId("query").focus();
  });
  byId("foot").textContent = `${counted(models.length)}, generated by model-zoo ${data.version}. This page loads nothing from other sites.`;
  window.addEventListener("hashchange", route);
  route();
})();
