// The card of a run: the verdict first, then what it rests on, then what to do next, then how it was found, in the order and
// the words of the cards of a terminal. What is too much to be shown is counted.

import { badge, command, el, link } from "./dom.js";
import { commandLine } from "./notation.js";
import { isNumeric, quantity, seconds } from "./quantity.js";
import { hash } from "./route.js";
import { clockTime, timeOfDay, when } from "./time.js";
import { clean, cut, oneLine } from "./text.js";

/** Most rows of a table, cells of all tables together, lines of details, and lines of the log. */
const MAX_ROWS = 100;
const MAX_CELLS = 6000;
const MAX_DETAILS = 200;
const MAX_LOG = 300;

/** Longest text of a cell that is not broken into lines, of one cell, and of one line. */
const MAX_SHORT = 40;
const MAX_CELL = 500;
const MAX_LINE = 4000;

/**
 * The card of `run`. `kinds` has the kind of each plugin by its name, so that a suggestion of a check becomes a button and
 * that of a mitigation a command. `isFull` shows what is wanted of a run that one looks up: parameters, all calls, the log.
 */
export function card(run, { kinds = new Map(), isFull = false } = {}) {
  const { outcome } = run;
  return el(
    "article",
    { class: "card", "data-key": run.plugin },
    headline(run),
    run.break_glass ? el("p", { class: "trouble" }, `BREAK-GLASS by ${oneLine(run.actor)}, past all guards: ${oneLine(run.break_glass)}`) : null,
    outcome ? [details(outcome.details), metrics(outcome.metrics), findings(outcome.findings), suggestions(outcome.suggestions, kinds)] : null,
    files(run),
    plan(run.plan),
    changes(run),
    afterwards(run),
    isFull ? [again(run), calls(run.calls)] : refused(run.calls),
    log(run.log, isFull || Boolean(run.failure)),
    footer(run, isFull),
  );
}

/** The verdict in one line, as text. */
export function verdict(run) {
  const { word, text } = judged(run);
  return `${word.toUpperCase()} ${oneLine(run.plugin)}: ${text}`;
}

function judged({ outcome, failure, started }) {
  if (outcome) return { word: oneLine(outcome.status), text: oneLine(outcome.summary) };
  if (failure) return { word: "unknown", text: `no verdict (${oneLine(failure.kind)}): ${oneLine(failure.message)}` };
  return { word: "running", text: `since ${clockTime(started)}` };
}

function headline(run) {
  const { word, text } = judged(run);
  return el("h2", { class: "verdict" }, badge(word), ` ${oneLine(run.plugin)}: `, el("span", {}, text));
}

function section(key, title, ...children) {
  return el("section", { "data-key": key }, el("h3", {}, title), ...children);
}

/** What was left out is said, not hidden. */
function rest(all, shown, what) {
  return all > shown ? el("p", { class: "faint" }, `… and ${all - shown} more ${what}; the JSON has them all`) : null;
}

function details(text) {
  const lines = clean((text ?? "").trim()).split("\n");
  if (lines[0] === "") return null;
  const shown = lines.slice(0, MAX_DETAILS).map((line) => cut(line, MAX_LINE));
  return el("section", { "data-key": "details" }, el("p", { class: "prose" }, shown.join("\n")), rest(lines.length, MAX_DETAILS, "lines"));
}

function metrics(all) {
  if (all.length === 0) return null;
  const threshold = (value, unit) => (value === undefined ? "" : quantity(value, unit));
  const rows = all.slice(0, MAX_ROWS).map(({ name, value, unit, warn, critical, labels }) => [
    name + dimensions(labels), quantity(value, unit), threshold(warn, unit), threshold(critical, unit),
  ]);
  return el("section", { "data-key": "metrics" }, table("Metrics", ["metric", "value", "warn", "critical"], rows), rest(all.length, MAX_ROWS, "metrics"));
}

function dimensions(labels) {
  return labels.length === 0 ? "" : `{${labels.map(({ name, value }) => `${name}=${value}`).join(",")}}`;
}

function findings(tables) {
  let left = MAX_CELLS;
  return tables.map(({ title, columns, rows }, at) => {
    const room = Math.min(MAX_ROWS, Math.max(1, Math.floor(left / Math.max(1, columns.length))));
    const shown = rows.slice(0, room);
    left -= shown.length * columns.length;
    return el("section", { "data-key": `table-${at}` }, table(title, columns, shown), rest(rows.length, shown.length, "rows"));
  });
}

/** A table that scrolls by itself where it is wider than the screen. */
export function table(title, columns, rows) {
  const texts = rows.map((row) => row.map((cell) => cut(oneLine(cell), MAX_CELL)));
  const sides = columns.map((_, at) => sideOf(texts.map((row) => row[at] ?? "")));
  const heads = columns.map((column, at) => el("th", { scope: "col", class: sides[at] }, oneLine(column)));
  const body = texts.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: sides[at] }, cell))));
  const caption = oneLine(title);
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body)),
  );
}

/** Numbers stand to the right, and what is short stays in one line also on a telephone. */
function sideOf(cells) {
  if (isNumeric(cells)) return "number";
  return cells.every((cell) => cell.length <= MAX_SHORT) ? "short" : null;
}

function suggestions(all, kinds) {
  if (all.length === 0) return null;
  const items = all.map(({ plugin, params, reason }) => {
    const isCheck = kinds.get(plugin) === "check";
    return el(
      "li",
      {},
      isCheck ? opens(plugin, params) : command(commandLine(kinds.get(plugin) === "mitigation" ? "plan" : "run", plugin, params)),
      el("p", { class: "faint" }, oneLine(reason)),
    );
  });
  return section("next", "Next", el("ul", { class: "next" }, items));
}

/** A button that opens the form of a check with these parameters in it. It runs nothing. */
function opens(plugin, params) {
  const texts = Object.entries(params ?? {}).map(([name, value]) => [name, fieldText(value)]);
  const place = hash(["check", plugin], Object.fromEntries(texts));
  const shown = oneLine(commandLine("run", plugin, params)).replace(/^paramedic run /, "");
  return el("button", { type: "button", on: { click: () => { location.hash = place; } } }, `Open ${shown}`);
}

/** A value as it stands in the field of a form. */
function fieldText(value) {
  if (typeof value === "string") return value;
  const isLines = Array.isArray(value) && value.every((item) => typeof item === "string");
  return isLines ? value.join("\n") : JSON.stringify(value);
}

function files({ id, outcome }) {
  const all = outcome?.files ?? [];
  if (all.length === 0) return null;
  const size = quantity(all.reduce((sum, file) => sum + file.size, 0), "By");
  const cutShort = all.filter((file) => file.cut !== undefined).length;
  const told = `${counted(all.length, "file")}, ${size}${cutShort ? `, ${cutShort} of them cut` : ""}`;
  return section("files", "Files", el("p", {}, told), command(`paramedic archive ${id} -o FILE`));
}

function counted(count, what) {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

function plan(made) {
  if (!made || made.changes.length === 0) return null;
  const items = made.changes.slice(0, MAX_ROWS).map((change) =>
    el(
      "li",
      {},
      `${oneLine(change.summary)} on ${oneLine(change.target)}`,
      differences(change.differences),
      (change.notes ?? []).map((note) => el("p", { class: "faint" }, oneLine(note))),
      el("p", {}, el("strong", {}, change.reversible ? "undo" : "no undo"), `: ${oneLine(change.undo)}`),
    ));
  const missing = made.approvals.length < made.approvals_needed;
  const given = made.approvals.map(({ actor, time }) => `${oneLine(actor)} at ${clockTime(time)}`).join(", ");
  const approved = made.approvals_needed > 0 ? el("p", {}, `Approved by ${made.approvals.length} of ${made.approvals_needed}${given ? `: ${given}` : ""}`) : null;
  return section(
    "plan",
    `Plan: ${counted(made.changes.length, "change")}, until ${clockTime(made.expires)}`,
    el("ol", { class: "changes" }, items),
    rest(made.changes.length, MAX_ROWS, "changes"),
    el("p", { class: "faint" }, oneLine(made.digest)),
    approved,
    missing ? command(`paramedic approve ${made.id}`) : null,
    command(`paramedic apply ${made.id}`),
  );
}

function changes({ id, changes: made = [] }) {
  if (made.length === 0) return null;
  const items = made.slice(0, MAX_ROWS).map((change) =>
    el(
      "li",
      {},
      badge(oneLine(change.fate ?? "under way")),
      ` ${oneLine(change.summary)} on ${oneLine(change.target)}`,
      differences(change.differences),
      change.reason ? el("p", { class: "faint" }, oneLine(change.reason)) : null,
      change.undone_by ? el("p", {}, "given back by ", link(["runs", change.undone_by], {}, `run ${change.undone_by}`)) : null,
    ));
  const canBeUndone = made.some((change) => change.reversible && !change.undone_by);
  return section(
    "changed",
    "Changed",
    el("ol", { class: "changes" }, items),
    rest(made.length, MAX_ROWS, "changes"),
    canBeUndone ? command(`paramedic undo ${id}`) : null,
  );
}

function differences(all) {
  const sides = all.slice(0, MAX_ROWS).flatMap(({ field, before, after }) => [
    before === undefined ? null : el("del", {}, `- ${oneLine(field)}: ${cut(oneLine(before), MAX_CELL)}`),
    after === undefined ? null : el("ins", {}, `+ ${oneLine(field)}: ${cut(oneLine(after), MAX_CELL)}`),
  ]);
  return sides.length === 0 ? null : el("div", { class: "differences" }, sides);
}

const HELPED = {
  helped: "it helped: the check is better than before",
  no_change: "the check says the same as before",
  worse: "the check is worse than before",
};

function afterwards({ help, lease }) {
  if (!help && !lease) return null;
  const told = help && (Object.hasOwn(HELPED, help.verdict) ? HELPED[help.verdict] : "whether it helped is not known");
  const after = help?.after ?? help?.before;
  return section(
    "afterwards",
    "Afterwards",
    help ? el("p", {}, `${told} (`, link(["runs", after], {}, `run ${after}`), ")") : null,
    lease ? el("p", {}, leaseLine(lease)) : null,
  );
}

function leaseLine({ state, until, ended_by: by, reason }) {
  if (state === "held") return ["the changes are given back at ", when(until)];
  if (state === "ended") return by ? ["the changes were given back by ", link(["runs", by], {}, `run ${by}`)] : "there is nothing to give back";
  return `the changes could not be given back: ${oneLine(reason ?? "nobody knows why")}`;
}

/** Calls that were denied or failed. Not cut: the text holds the line that an operator would add. */
function refused(all) {
  const bad = all.filter((call) => call.decision !== "permitted" || call.error !== undefined);
  if (bad.length === 0) return null;
  const items = bad.slice(0, MAX_ROWS).map((call) => {
    const what = `${oneLine(call.operation)} on ${oneLine(call.target)}`;
    const reason = oneLine(call.error ?? call.decision);
    // The usual reason begins with what was refused.
    return el("li", {}, reason.startsWith(what) ? reason : `${what}: ${reason}`);
  });
  return section("denied", "Denied or failed", el("ul", {}, items), rest(bad.length, MAX_ROWS, "calls"));
}

function again({ plugin, params, mode }) {
  return section("again", "Again", command(commandLine(mode === "check" ? "run" : "plan", plugin, params)));
}

function calls(all) {
  if (all.length === 0) return null;
  const rows = all.slice(0, MAX_ROWS).map((call) => [
    String(call.sequence), call.operation, call.target, seconds(call.duration_seconds), quantity(call.answer_bytes, "By"),
    call.decision, call.error ?? "",
  ]);
  return el(
    "section",
    { "data-key": "calls" },
    table("Calls", ["#", "call", "target", "time", "answer", "decision", "error"], rows),
    rest(all.length, MAX_ROWS, "calls"),
  );
}

function log(lines, open) {
  if (lines.length === 0) return null;
  const skipped = Math.max(0, lines.length - MAX_LOG);
  const title = skipped === 0 ? `Log, ${counted(lines.length, "line")}` : `Log, the last ${MAX_LOG} of ${lines.length} lines`;
  const items = lines.slice(skipped).map(logLine);
  return el("details", { "data-key": "log", open }, el("summary", {}, title), el("ol", { class: "log" }, items));
}

/** One line of a log. */
export function logLine({ time, level, source, message, fields }) {
  const facts = fields.map(({ name, value }) => ` ${oneLine(name)}=${oneLine(value)}`).join("");
  const text = clean(message.trimEnd()) + facts;
  return el("li", {}, `${timeOfDay(time)} `, badge(oneLine(level)), ` ${oneLine(source)}: ${cut(text, MAX_LINE)}`);
}

function footer(run, isFull) {
  const { usage } = run;
  const used = run.finished
    ? `${seconds(usage.duration_seconds)}, ${counted(usage.calls, "call")}, ${quantity(usage.memory_bytes, "By")} of memory`
    : "under way";
  const dropped = usage.dropped_log_lines > 0 ? ` ${usage.dropped_log_lines} log lines were dropped.` : "";
  const facts = ` of ${oneLine(run.plugin)} ${oneLine(run.version)}: ${used}; for ${oneLine(run.actor)} at `;
  return el(
    "p",
    { class: "faint", "data-key": "footer" },
    isFull ? `run ${run.id}` : link(["runs", run.id], {}, `run ${run.id}`),
    facts,
    el("time", { datetime: run.started }, clockTime(run.started)),
    dropped,
  );
}
