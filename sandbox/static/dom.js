// Small tools to build the page: everything from outside goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element; `props` are properties, or attributes where the name has a dash or is `role`. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "dataset") Object.assign(node.dataset, value);
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function initials(name) {
  const words = name.split(/\s+/u).filter((word) => /^\p{L}/u.test(word));
  const letters = words.map((word) => [...word][0]);
  return (letters.length > 1 ? letters[0] + letters.at(-1) : letters[0] ?? "?").toUpperCase();
}

export function avatar(name, id) {
  const colour = [...id].reduce((sum, digit) => sum + Number(digit), 0) % 6;
  return el("span", { className: `avatar c${colour}`, "aria-hidden": "true" }, initials(name));
}

let hiding;
export function toast(text) {
  const node = byId("toast");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => node.classList.remove("shown"), 3200);
}

/** The JSON as nodes with the colours of its parts. */
export function colouredJson(document_) {
  const text = JSON.stringify(document_, null, 2);
  const parts = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;
  const nodes = [];
  let last = 0;
  for (const match of text.matchAll(parts)) {
    nodes.push(text.slice(last, match.index));
    const kind = match[1] ? (match[2] ? "k" : "s") : match[3] ? "w" : "n";
    const part = match[1] ?? match[0];
    nodes.push(el("span", { className: kind }, part), match[2] ?? "");
    last = match.index + match[0].length;
  }
  return [...nodes, text.slice(last)];
}
