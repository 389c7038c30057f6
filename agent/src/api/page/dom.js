// Makes elements. What others wrote passes through here and becomes text: it is never read as markup, it names no attribute,
// and no address is made from it but one within this page.

import { hash } from "./route.js";
import { clean } from "./text.js";

/** Attributes that this page sets. An attribute that runs or loads something is not among them. */
const ATTRIBUTES = new Set([
  "aria-current", "aria-describedby", "aria-invalid", "aria-label", "autocomplete", "class", "data-key",
  "data-tone", "datetime", "for", "hidden", "id", "inputmode", "max", "min", "name", "novalidate", "open", "placeholder",
  "role", "rows", "scope", "spellcheck", "step", "tabindex", "type", "value",
]);

/** What an element can be told by a person. */
const EVENTS = new Set(["click", "input", "submit"]);

/** An element with attributes, `on` what happens when, and what is in it: elements, texts, and nothing for null. */
export function el(name, { on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (!ATTRIBUTES.has(attribute)) throw new Error(`this page sets no attribute ${attribute}`);
    if (value !== null && value !== undefined && value !== false) element.setAttribute(attribute, value === true ? "" : value);
  }
  for (const [event, then] of Object.entries(on)) {
    if (!EVENTS.has(event)) throw new Error(`this page waits for no ${event}`);
    element[`on${event}`] = then;
  }
  return fill(element, ...children);
}

/** Puts this into an element, in place of what was in it. */
export function fill(element, ...children) {
  const nodes = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "");
  element.replaceChildren(...nodes.map((child) => (child instanceof Node ? child : clean(child))));
  return element;
}

/** A link to another part of this page, such as `link(["runs", id], {}, "the run")`. It always begins with `#/`. */
export function link(parts, query, ...children) {
  const anchor = el("a", {}, ...children);
  anchor.setAttribute("href", hash(parts, query));
  return anchor;
}

/** What a verdict, a state or a level is, for its colour. The word stands beside the colour everywhere. */
const TONES = {
  ok: "good", active: "good", ready: "good", applied: "good", helped: "good",
  warning: "warning", warn: "warning", waiting: "warning", quarantined: "warning", conflict: "warning",
  critical: "bad", error: "bad", "not ready": "bad",
  unknown: "doubtful", failed: "doubtful", interrupted: "doubtful", worse: "bad",
};

/** A word with its colour. */
export function badge(word) {
  const tone = Object.hasOwn(TONES, word) ? TONES[word] : "faint";
  return el("strong", { class: "badge", "data-tone": tone }, word.toUpperCase());
}

/** A command that somebody types elsewhere, with a button that copies it. */
export function command(text) {
  const code = el("code", { class: "command", tabindex: "0" }, text);
  const copy = async ({ currentTarget: button }) => {
    const shown = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } catch {
      // Without encryption a browser does not let a page copy; then it is selected for the person.
      getSelection().selectAllChildren(shown);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  const button = el("button", { type: "button", "aria-label": `Copy: ${text}`, on: { click: copy } }, "Copy");
  return el("div", { class: "typed" }, code, button);
}
