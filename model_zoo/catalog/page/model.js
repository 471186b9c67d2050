"use strict";
// One model's page. What is empty in the catalog is absent from the data.
const modelPage = (() => {
  const FOLDED = 8;
  const list = (value) => (Array.isArray(value) ? value.join(", ") : value);
  const section = (id, title, ...children) => dom("section", { "aria-labelledby": id }, dom("h2", { id }, title), ...children);
  const fact = (title, ...value) => [dom("dt", {}, title), dom("dd", {}, ...value)];
  const lines = (texts) => (texts.length === 1 ? texts : [dom("ul", {}, ...texts.map((text) => dom("li", {}, text)))]);

  const shortened = (address) => {
    const [host, ...path] = address.replace(/^https?:\/\/(www\.|raw\.)?/, "").split("/").filter(Boolean);
    return path.length > 2 ? `${host}/…/${path.at(-1)}` : [host, ...path].join("/");
  };

  // Addresses in a sentence become links.
  const linked = (text) => text.split(/(https?:\/\/[^\s()]+)/).map((part) => (isAddress(part) ? external(part, shortened(part)) : part));

  // --- in short

  const upstream = (model) => {
    const titles = { repository: "code", paper: "paper", card: "model card" };
    const links = Object.entries(model.upstream || {}).filter(([, address]) => address).map(([kind, address]) => external(address, titles[kind] || kind));
    return links.flatMap((link, i) => (i ? [", ", link] : [link]));
  };

  const inShort = (model) => {
    const said = model.in_words;
    const rows = [
      said.feeds.length && fact("Feeds", ...lines(said.feeds)),
      said.gives.length && fact("Gives", ...lines(said.gives)),
      fact("Needs", said.needs),
      fact("Licence", ...linked(said.license)),
      fact("Size", `${model.size_is_exact === false && model.size ? "about " : ""}${humanSize(model.size)}${model.precisions ? `; as ${model.precisions.join(", ")}` : ""}`),
      said.metrics.length && fact("Figures", ...lines(said.metrics)),
      said.complexity && fact("Cost", said.complexity),
      model.upstream && fact("Upstream", ...upstream(model)),
      fact("Task", dom("a", { href: `#/?task=${encodeURIComponent(model.task)}` }, taskTitle(model.task))),
      fact("Framework", model.framework || "composite"),
    ];
    return dom("dl", { class: "short" }, ...rows.filter(Boolean).flat());
  };

  // --- how to use it

  const snippet = (title, what, text) => {
    const code = dom("code");
    const show = () => {
      code.textContent = text();
    };
    show();
    const pre = dom("pre", { tabindex: 0, role: "region", "aria-label": what }, code);
    return { node: dom("div", { class: "snippet" }, dom("div", {}, dom("h3", {}, title), copyButton(what, () => code.textContent)), pre), show };
  };

  const useIt = (model) => {
    const precisions = model.precisions || [];
    const choice = dom("select", { id: "precision" }, ...precisions.map((p) => dom("option", { value: p }, p)));
    // The lines are those of the default precision; another one is part of the reference.
    const reference = () => (choice.value && choice.value !== precisions[0] ? `${model.name}@${choice.value}` : model.name);
    const referred = (line) => line.replaceAll(`"${model.name}"`, `"${reference()}"`).split(" ").map((word) => (word === model.name ? reference() : word)).join(" ");
    const snippets = [
      snippet("Install", "the command that installs what is needed", () => model.needs.install),
      snippet("Python", "lines of Python", () => model.code.python.map(referred).join("\n")),
      snippet("Shell", "commands for the shell", () => model.code.shell.map(referred).join("\n")),
    ];
    choice.addEventListener("change", () => {
      for (const one of snippets) one.show();
    });
    const pick = precisions.length > 1 && model.convertible ? dom("p", { class: "use" }, dom("label", { for: "precision" }, "Precision "), choice) : null;
    return section("use", "Use it", pick, ...snippets.map((one) => one.node));
  };

  // --- inputs and outputs

  const port = (one) => {
    const size = one.shape ? `[${one.shape.map((dim) => (dim === -1 ? "?" : dim)).join(", ")}]` : null;
    const details = [
      one.name && one.kind !== "tensor" && plain(one.kind), one.layout, one.type, one.color, one.range && `${one.range[0]} to ${one.range[1]}`,
      one.resize && `resize: ${one.resize}`, one.crop_fraction && `crop fraction ${one.crop_fraction}`, one.interpolation, one.mean !== undefined && `mean ${list(one.mean)}`,
      one.scale !== undefined && `scale ${list(one.scale)}`, one.rate && `${one.rate} Hz`, one.format,
    ].filter(Boolean);
    return dom("li", {}, dom("p", {}, one.name ? dom("code", { class: "name" }, one.name) : dom("span", { class: "name" }, plain(one.kind)), size ? dom("code", {}, size) : null), details.length ? dom("p", { class: "meta" }, ...details.map((text) => dom("span", {}, text))) : null);
  };

  const ports = (title, all) => {
    const shown = all.slice(0, FOLDED).map(port);
    const rest = all.slice(FOLDED).map(port);
    const more = rest.length ? dom("details", {}, dom("summary", {}, `${rest.length} more`), dom("ul", { class: "ports" }, ...rest)) : null;
    return dom("div", {}, dom("h3", {}, title), dom("ul", { class: "ports" }, ...shown), more);
  };

  const inputsAndOutputs = (model) => {
    const [real = {}] = Object.values(model.ports || {}); // of the IR, where it was cached
    const [inputs, outputs] = [model.inputs || real.inputs, model.outputs || real.outputs];
    const both = [inputs && ports("Inputs", inputs), outputs && ports("Outputs", outputs)].filter(Boolean);
    const { type, ...settings } = model.decode || {};
    const how = [type, ...Object.entries(settings).map(([key, value]) => value !== null && `${plain(key)} ${list(value)}`)].filter(Boolean).join(", ");
    const decoded = type ? dom("p", { class: "note" }, `Decoded as ${how}.`) : null;
    return both.length ? section("ports", "Inputs and outputs", dom("div", { class: "pair" }, ...both), decoded) : null;
  };

  // --- files and recipe, folded

  const file = (one) => {
    const rows = one.digests.length
      ? one.digests.map((digest) => [dom("dt", {}, "digest"), dom("dd", { class: "digest" }, dom("code", {}, digest), copyButton(`the digest of ${one.path}`, () => digest.split(":")[1]))])
      : [[dom("dt", {}, "digest"), dom("dd", {}, `none declared (${one.integrity})`)]];
    if (one.precision) rows.push(fact("precision", one.precision));
    for (const source of one.sources) rows.push(fact("source", external(source)));
    return dom("li", { class: "file" }, dom("div", { class: "head" }, dom("span", {}, one.path), dom("span", { class: "size" }, one.size === null && one.approximate_size ? `about ${humanSize(one.approximate_size)}` : humanSize(one.size))), dom("dl", {}, ...rows.flat()));
  };

  const folded = (title, about, ...children) => dom("details", { class: "fold" }, dom("summary", {}, dom("span", {}, title), dom("span", { class: "about" }, about)), ...children);

  const json = (title, value) => dom("pre", { tabindex: 0, role: "region", "aria-label": title }, dom("code", {}, JSON.stringify(value, null, 2)));

  const behind = (model) => {
    const irs = model.cached.ir.map((precision) => `IR ${precision}`);
    const cached = [model.cached.files && "files", ...irs].filter(Boolean).join(", ");
    const files = model.artifacts
      ? folded("Files", `${counted(model.artifacts.length, "file")}, ${humanSize(model.size)}, ${model.integrity}${cached ? `; cached here: ${cached}` : ""}`, dom("ul", {}, ...model.artifacts.map(file)))
      : null;
    const recipe = model.artifacts ? folded("Recipe", "how it becomes IR, as JSON", json("Recipe as JSON", model.recipe)) : null;
    const info = model.model_info ? folded("In the IR", "what it says to programs that read it (rt_info)", json("Information in the IR as JSON", model.model_info)) : null;
    return files || info ? section("behind", "Behind it", files, recipe, info) : null;
  };

  const names = (title, models, begin = "") => dom("ul", { class: "related", "aria-label": title }, ...models.map((name) => dom("li", {}, modelLink(name, (begin && name.slice(begin.length).replace(/^[-_.]/, "")) || name))));

  return (model, near) => {
    const stages = model.stages ? section("stages", "Stages", names("Stages", model.stages)) : null;
    const siblings = near.siblings.length ? section("variants", `Variants of ${near.title}`, names("Variants", near.siblings, near.title)) : null;
    const around = near.around.length ? section("around", `More for ${taskTitle(model.task).toLowerCase()}`, names("Other models", near.around)) : null;
    return [
      dom("p", { class: "back" }, dom("a", { href: "#/", id: "back" }, "← All models")),
      dom("h1", { tabindex: -1 }, model.name),
      dom("p", { class: "lead" }, model.description),
      model.notice ? dom("p", { class: "problem" }, model.notice) : null,
      model.convertible ? null : dom("p", { class: "problem" }, `OpenVINO cannot convert this model: ${model.reason}`),
      inShort(model), useIt(model), inputsAndOutputs(model), stages, behind(model), siblings, around,
    ].filter(Boolean);
  };
})();
