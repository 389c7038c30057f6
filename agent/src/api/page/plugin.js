// What there is to say about a plugin, whatever its kind.

import { badge, el } from "./dom.js";
import { clean, cut, oneLine } from "./text.js";

/** Longest description that is shown. */
const MAX_DESCRIPTION = 8000;

/** The kind of each plugin that can run, by its name. */
export function kindsOf(list) {
  return new Map(list.plugins.map(({ name, kind }) => [name, kind]));
}

/** Its name and what it does; why it cannot run, if it cannot. */
export function about(plugin) {
  const text = cut(clean((plugin.description ?? "").trim()), MAX_DESCRIPTION);
  const isLong = text.split("\n").length > 3 || text.length > 400;
  const prose = text ? el("p", { class: "prose" }, text) : null;
  return [
    el("h1", {}, oneLine(plugin.name), " ", el("small", {}, [plugin.title, plugin.version].filter(Boolean).map(oneLine).join(" "))),
    plugin.state === "active" ? null : el("p", { class: "trouble" }, badge(oneLine(plugin.state)), ` ${oneLine(plugin.reason ?? "")}`),
    isLong ? el("details", {}, el("summary", {}, "What it does"), prose) : prose,
  ];
}
