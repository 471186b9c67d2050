"use strict";
// One model's page. Text from the catalog always becomes text nodes, never markup.
const dom = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const humanSize = (bytes) => {
  if (bytes === null || bytes === undefined) return "size unknown";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
};

const words = (name) => (name || "").replaceAll("_", " ");

const announce = (text) => {
  document.getElementById("announcement").textContent = text;
};

const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // no permission, or a browser that denies the clipboard to pages on disk: use the older way
    const area = dom("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
};

const copyButton = (what, text) => {
  const button = dom("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    const done = await copyText(text());
    button.textContent = done ? "Copied" : "Select and copy";
    announce(done ? `Copied ${what}` : `${what} could not be copied`);
    button.focus();
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
  return button;
};

const isAddress = (text) => /^https?:\/\//.test(text || "");

const maybeLink = (text, shown = text) => (isAddress(text) ? dom("a", { href: text, rel: "noopener noreferrer", title: shown === text ? null : text }, shown) : text);

const shortLicence = (text) => {
  if (!isAddress(text)) return text;
  const { host, pathname } = new URL(text);
  const parts = pathname.split("/").filter(Boolean);
  const last = parts.at(-1) || "";
  if (/(^|\.)github(usercontent)?\.com$/.test(host) && parts.length > 2) return `${last} of ${parts[0]}/${parts[1]}`;
  return parts.length > 1 ? `${host}/…/${last}` : `${host}/${last}`;
};

const modelPage = (() => {
  const fact = (title, ...value) => dom("div", {}, dom("dt", {}, title), dom("dd", {}, ...value));

  const snippet = (what, text) => {
    const code = dom("code");
    const show = () => {
      code.textContent = text();
    };
    show();
    return { node: dom("div", { class: "snippet" }, dom("pre", { tabindex: 0, role: "region", "aria-label": what }, code), copyButton(what, () => code.textContent)), show };
  };

  // A folder model is opened as a whole, by a class that depends on the task or the cached folder.
  const opening = (folder, opens) => {
    const [, module, name] = /^(.+)\.(\w+)$/.exec(opens || "") || [];
    if (!module) return `import model_zoo\n\nfolder = ${folder}`;
    return module === "openvino_genai"
      ? `import model_zoo\nimport ${module}\n\npipe = ${opens}(${folder}, "CPU")`
      : `import model_zoo\nfrom ${module} import ${name}\n\nmodel = ${name}.from_pretrained(${folder})`;
  };

  const useIt = (model) => {
    const choice = dom("select", { id: "precision" }, ...model.precisions.map((p) => dom("option", { value: p }, p)));
    const reference = () => (choice.value && choice.value !== model.precisions[0] ? `${model.name}@${choice.value}` : model.name);
    const quoted = () => JSON.stringify(reference());
    const names = model.stages.length ? model.stages.join(" ") : null;
    const commands = () =>
      names
        ? `model-zoo fetch ${model.name}\nmodel-zoo convert ${model.name}`
        : model.convertible
          ? `model-zoo convert ${reference()}\n${model.folder ? "" : `model-zoo infer ${reference()}\n`}model-zoo path ${reference()}`
          : `model-zoo fetch ${model.name}`;
    const python = () =>
      names
        ? `import model_zoo\n\n${model.stages.map((s, i) => `stage${i + 1} = model_zoo.load(${JSON.stringify(s)})`).join("\n")}`
        : model.folder
          ? opening(`str(model_zoo.convert(${quoted()}).directory)`, model.opens)
        : model.convertible
          ? `import model_zoo\n\ncompiled = model_zoo.load(${quoted()}, device="AUTO")`
          : `import model_zoo\n\nfiles = model_zoo.fetch(${quoted()}).files`;
    const shell = snippet("commands for the shell", commands);
    const code = snippet("lines of Python", python);
    choice.addEventListener("change", () => {
      shell.show();
      code.show();
    });
    const pick = model.precisions.length > 1 && model.convertible ? dom("p", { class: "use" }, dom("label", { for: "precision" }, "Precision "), choice) : null;
    return dom("section", { "aria-labelledby": "use" }, dom("h2", { id: "use" }, "Use it"), pick, dom("h3", {}, "In a shell"), shell.node, dom("h3", {}, "In Python"), code.node);
  };

  const file = (one) => {
    const digests = one.digests.map((digest) => dom("dd", { class: "digest" }, dom("code", {}, digest), copyButton(`the digest of ${one.path}`, () => digest.split(":")[1])));
    const list = dom("dl");
    for (const entry of digests) list.append(dom("dt", {}, "digest"), entry);
    if (!digests.length) list.append(dom("dt", {}, "digest"), dom("dd", {}, `none declared (${one.integrity})`));
    if (one.precision) list.append(dom("dt", {}, "precision"), dom("dd", {}, one.precision));
    for (const source of one.sources) list.append(dom("dt", {}, "source"), dom("dd", {}, maybeLink(source)));
    return dom("li", { class: "file" }, dom("div", { class: "head" }, dom("span", {}, one.path), dom("span", { class: "size" }, humanSize(one.size))), list);
  };

  const list = (value) => (Array.isArray(value) ? value.join(", ") : value);

  const ports = (model) => {
    if (!model.inputs.length && !model.outputs.length) return null;
    const rows = model.inputs.map((one) => {
      const change = [one.mean !== undefined && `mean ${list(one.mean)}`, one.scale !== undefined && `scale ${list(one.scale)}`, one.reverse_channels && "channels reversed"].filter(Boolean);
      return dom("tr", {}, dom("td", {}, "input"), dom("td", {}, dom("code", {}, one.name || "(unnamed)")), dom("td", {}, one.type || ""), dom("td", {}, dom("code", {}, one.shape ? `[${one.shape.join(", ")}]` : "")), dom("td", {}, one.layout || ""), dom("td", {}, change.join(", ")));
    });
    for (const one of model.outputs) rows.push(dom("tr", {}, dom("td", {}, "output"), dom("td", {}, dom("code", {}, one.name || "")), dom("td", {}, words(one.kind)), dom("td", {}, (one.shape || []).join(" x ")), dom("td", {}, one.layout || ""), dom("td", {}, one.format || "")));
    const head = ["", "name", "type", "shape", "layout", "preparation"].map((title) => dom("th", { scope: "col" }, title));
    return dom("section", { "aria-labelledby": "ports" }, dom("h2", { id: "ports" }, "Inputs and outputs"), dom("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of inputs and outputs" }, dom("table", {}, dom("thead", {}, dom("tr", {}, ...head)), dom("tbody", {}, ...rows))));
  };

  const cachedText = (model) => {
    const irs = Object.entries(model.cached.ir).filter(([, there]) => there).map(([precision]) => `IR ${precision}`);
    const all = [model.cached.files ? "files" : null, ...irs].filter(Boolean);
    return all.length ? all.join(", ") : "no";
  };

  return (model, around) => {
    const facts = dom("dl", { class: "facts" },
      fact("Task", dom("a", { href: `#/?task=${encodeURIComponent(model.task)}` }, words(model.task))),
      fact("Framework", model.framework || "composite"),
      fact("Licence", maybeLink(model.license, shortLicence(model.license))),
      fact("Size", humanSize(model.size)),
      fact("Integrity", model.integrity),
      model.precisions.length ? fact("Precisions", model.precisions.join(", ")) : null,
      model.folder ? fact("Converts to", `a folder of IRs${model.opens ? ` for ${model.opens}` : ""}`) : null,
      fact("Cached when generated", cachedText(model)),
      fact("Convertible", model.convertible ? "yes" : "no"));
    const stages = model.stages.length ? dom("section", {}, dom("h2", {}, "Stages"), dom("ul", { class: "related" }, ...model.stages.map((name) => dom("li", {}, dom("a", { href: `#/model/${encodeURIComponent(name)}` }, name))))) : null;
    const files = model.artifacts.length ? dom("section", { "aria-labelledby": "files" }, dom("h2", { id: "files" }, "Files"), dom("ul", {}, ...model.artifacts.map(file))) : null;
    const related = around.length ? dom("section", {}, dom("h2", {}, `Other models for ${words(model.task)}`), dom("ul", { class: "related" }, ...around.map((name) => dom("li", {}, dom("a", { href: `#/model/${encodeURIComponent(name)}` }, name))))) : null;
    const raw = dom("section", {}, dom("details", { class: "raw" }, dom("summary", {}, "Recipe, as JSON"), dom("pre", { tabindex: 0 }, dom("code", {}, JSON.stringify(model.recipe, null, 2)))));
    return [
      dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")),
      dom("h1", { tabindex: -1 }, model.name),
      dom("p", { class: "lead" }, model.description),
      model.convertible ? null : dom("p", { class: "problem" }, `OpenVINO cannot convert this model: ${model.reason}`),
      facts, useIt(model), stages, files, ports(model), related, model.artifacts.length ? raw : null,
    ].filter(Boolean);
  };
})();
