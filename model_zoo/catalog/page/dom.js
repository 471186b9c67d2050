"use strict";
// What both views use. Text from the catalog always becomes text nodes, never markup.
const dom = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

const byId = (id) => document.getElementById(id);

const humanSize = (bytes) => {
  if (bytes === null || bytes === undefined) return "size unknown";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
};

const counted = (number, one = "model") => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

const plain = (name) => (name || "").replaceAll(/[-_]/g, " ");

// "object-detection/face" is shown as "Object detection › face"
const taskTitle = (task) => {
  const text = (task || "").split("/").map(plain).join(" › ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

const modelLink = (name, text = name) => dom("a", { href: `#/model/${encodeURIComponent(name)}`, title: text === name ? null : name }, text);

const announce = (text) => {
  byId("announcement").textContent = text;
};

const isAddress = (text) => /^https?:\/\//.test(text || "");

const external = (address, text = address) => (isAddress(address) ? dom("a", { href: address, rel: "noopener noreferrer" }, text) : text);

// Pictures of kinds of tasks: paths in a square of 24.
const ICONS = {
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  mask: "M4 12a8 8 0 1 0 16 0 8 8 0 1 0-16 0M12 4v16M12 8h7M12 12h8M12 16h7",
  person: "M12 4a2 2 0 1 1 0 4 2 2 0 0 1 0-4M5 11l7-2 7 2M12 9v6M12 15l-4 5M12 15l4 5",
  video: "M4 6h11v12H4zM15 10l5-3v10l-5-3",
  layers: "M12 4l9 5-9 5-9-5zM3 14l9 5 9-5",
  text: "M5 6h14M5 10h14M5 14h9M5 18h6",
  chat: "M4 5h16v11H11l-4 4v-4H4z",
  sound: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  vector: "M5 19V5M5 19h14M5 19l9-9M14 14v-4h-4",
  chart: "M4 19h16M5 15l5-5 3 3 6-7",
};
const ICON_OF = [
  [/^object-detection/, "box"], [/^image-segmentation/, "mask"], [/feature-extraction|ranking/, "vector"], [/video|optical/, "video"], [/depth/, "layers"],
  [/keypoint|pose|gaze/, "person"], [/text-generation|image-text|question/, "chat"], [/audio|speech|voice|music|pitch/, "sound"], [/^image|to-image/, "picture"], [/series/, "chart"], [/./, "text"],
];
const icon = (task) => {
  const name = ICON_OF.find(([pattern]) => pattern.test(task))?.[1] || "text";
  const svg = document.createElementNS(document.querySelector(".mark").namespaceURI, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
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
