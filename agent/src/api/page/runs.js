// The latest runs, page by page.

import { ask } from "./api.js";
import { badge, el, fill, link } from "./dom.js";
import { seconds } from "./quantity.js";
import { hash } from "./route.js";
import { clockTime } from "./time.js";
import { cut, oneLine } from "./text.js";

/** Runs of one page. */
const PAGE = 40;

/** By which this list can be asked for less. */
const FILTERS = ["plugin", "state", "actor", "since"];

export async function runs({ query, place, signal }) {
  const wanted = new URLSearchParams({ limit: PAGE });
  for (const name of [...FILTERS, "cursor"]) if (query.get(name)) wanted.set(name, query.get(name));
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value));
  fill(place, el("h1", {}, "Runs"), filterForm(filters));
  const page = await ask("GET", `v1/runs?${wanted}`, { signal });
  const items = page.runs.map((run) => el("li", {}, runEntry(run)));
  place.append(
    items.length > 0 ? el("ul", { class: "list runs" }, items) : el("p", {}, "no runs"),
    el("p", { class: "pages" }, query.get("cursor") ? link(["runs"], filters, "Newest") : null, " ", page.next ? link(["runs"], { ...filters, cursor: page.next }, "Older") : null),
  );
}

function filterForm(filters) {
  const inputs = FILTERS.map((name) => el("input", { id: `of-${name}`, type: "text", value: filters[name] ?? "", autocomplete: "off", spellcheck: "false" }));
  const submit = (event) => {
    event.preventDefault();
    const given = FILTERS.map((name, at) => [name, inputs[at].value.trim()]).filter(([, value]) => value);
    location.hash = hash(["runs"], Object.fromEntries(given));
  };
  const fields = FILTERS.map((name, at) => el("div", { class: "field" }, el("label", { for: `of-${name}` }, name), inputs[at]));
  return el("form", { class: "filters", on: { submit } }, el("div", { class: "fields" }, fields), el("button", { type: "submit" }, "Show"));
}

/** A run in two lines: what it was, and what it came to. */
export function runEntry(run) {
  const time = run.finished ? `, ${seconds(run.usage.duration_seconds)}` : "";
  return [
    badge(oneLine(run.state)),
    link(["runs", run.id], {}, oneLine(run.plugin)),
    el("span", { class: "faint" }, `${clockTime(run.started)}${time}, for ${oneLine(run.actor)}`),
    el("span", { class: "reason" }, cut(verdictOf(run), 300)),
  ];
}

function verdictOf({ outcome, failure, actor }) {
  if (outcome) return oneLine(outcome.summary);
  if (failure) return `no verdict (${oneLine(failure.kind)}): ${oneLine(failure.message)}`;
  return `under way, for ${oneLine(actor)}`;
}
