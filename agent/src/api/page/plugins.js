// All plugins: the checks, the mitigations, and those that cannot run, with the reason.

import { ask } from "./api.js";
import { badge, el, fill, link } from "./dom.js";
import { oneLine } from "./text.js";

export async function plugins({ place, signal }) {
  const { plugins: all } = await ask("GET", "v1/plugins", { signal });
  const canRun = (plugin) => plugin.state === "active";
  const of = (kind) => all.filter((plugin) => canRun(plugin) && plugin.kind === kind);
  fill(
    place,
    el("h1", {}, "Plugins"),
    group("Checks", of("check"), entry),
    group("Mitigations", of("mitigation"), entry),
    group("Cannot run", all.filter((plugin) => !canRun(plugin)), absent),
    all.length === 0 ? el("p", {}, "no plugins are configured") : null,
  );
}

function group(title, all, shown) {
  if (all.length === 0) return null;
  return el("section", {}, el("h2", {}, title), el("ul", { class: "list" }, all.map((plugin) => el("li", {}, shown(plugin)))));
}

function entry({ name, kind, title, version }) {
  return [link([kind, name], {}, oneLine(name)), el("span", {}, oneLine(title ?? "")), el("span", { class: "faint" }, oneLine(version ?? ""))];
}

/** The reason is not cut: it may hold the line that an operator would add. */
function absent({ name, state, reason }) {
  return [badge(oneLine(state)), el("span", {}, oneLine(name)), el("span", { class: "reason" }, oneLine(reason ?? ""))];
}
