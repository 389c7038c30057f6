// At a glance: how the agent stands, its sweeps, what is under way, what is held on leases and what is frozen. It is looked
// up again while somebody looks.

import { ask, now, passes, words } from "./api.js";
import { badge, el, fill, link } from "./dom.js";
import { seen, sleep } from "./pace.js";
import { patch } from "./patch.js";
import { seconds } from "./quantity.js";
import { runEntry } from "./runs.js";
import { say } from "./say.js";
import { clockTime, when } from "./time.js";
import { cut, oneLine } from "./text.js";

/** How often it is looked up, in milliseconds. */
const EVERY = 10_000;

/** Most entries of one list. */
const MOST = 50;

export async function overview({ place, signal }) {
  const line = el("p", { class: "live" });
  const area = el("div", { class: "result" });
  fill(place, el("h1", {}, "Overview"), line, area);
  let at = null;
  while (!signal.aborted) {
    await seen(signal);
    let rest = 0;
    try {
      const state = await look(signal);
      if (signal.aborted) return;
      at = new Date(now()).toISOString();
      patch(area, el("div", {}, draw(state)));
      line.className = "live";
      patch(line, el("p", {}, `this is of ${clockTime(at)}`));
    } catch (error) {
      if (signal.aborted) return;
      if (!passes(error)) throw error;
      rest = error.retryAfter ?? 0;
      line.className = "live trouble";
      patch(line, el("p", {}, `${oneLine(words(error))}; it is tried again${at ? `; this is of ${clockTime(at)}` : ""}`));
      say(words(error));
    }
    await sleep(Math.max(EVERY, rest), signal);
  }
}

/** All of it, asked for at once. */
async function look(signal) {
  const paths = ["readyz", "v1/sweeps", "v1/leases", "v1/freezes", "v1/runs?state=running&limit=20"];
  const [ready, sweeps, leases, freezes, running] = await Promise.all(paths.map((path) => ask("GET", path, { signal })));
  return { ready, sweeps: sweeps.sweeps, leases: leases.leases, freezes: freezes.freezes, running: running.runs };
}

function draw({ ready, sweeps, leases, freezes, running }) {
  return [
    agent(ready),
    part("sweeps", "Sweeps", sweeps, sweepEntry, "no sweeps are configured"),
    running.length > 0 ? part("running", "Under way", running, runEntry, "") : null,
    part("leases", "Held on leases", leases, leaseEntry, "Nothing is held on a lease."),
    part("freezes", "Freezes", freezes, freezeEntry, "nothing is frozen"),
  ];
}

function part(key, title, all, entry, none) {
  const items = all.slice(0, MOST).map((one) => el("li", {}, entry(one)));
  const more = all.length > MOST ? el("p", { class: "faint" }, `… and ${all.length - MOST} more; the JSON has them all`) : null;
  const list = items.length > 0 ? el("ul", { class: "list" }, items) : el("p", { class: "faint" }, none);
  return el("section", { "data-key": key }, el("h2", {}, title), list, more);
}

function agent(ready) {
  const { plugins, config, replica } = ready;
  const missing = [
    ready.accepting ? null : "it takes no runs: it is ending",
    ready.loaded ? null : "not every plugin was tried yet",
    ready.store === "writable" ? null : `runs cannot be recorded${ready.problem ? `: ${oneLine(ready.problem)}` : ""}`,
  ].filter(Boolean);
  const counts = Object.entries(plugins).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`);
  return el(
    "section",
    { "data-key": "agent" },
    el("h2", {}, "Agent"),
    el("p", {}, badge(ready.ready ? "ready" : "not ready"), missing.length > 0 ? ` ${missing.join("; ")}` : " it accepts runs and records them"),
    el("p", {}, link(["plugins"], {}, "Plugins"), `: ${counts.join(", ") || "none"}`),
    el("p", {}, "Configuration since ", when(config.since), refusedConfig(config)),
    replica ? el("p", {}, replicaLine(replica)) : null,
  );
}

function refusedConfig({ current, problem, errors = [], needs_restart: late = [] }) {
  const refused = current ? "" : `; a later one was refused${problem ? `: ${oneLine(problem)}` : ""}${errors.map((error) => `; ${oneLine(error)}`).join("")}`;
  return refused + (late.length > 0 ? `; after a restart: ${late.map(oneLine).join(", ")}` : "");
}

function replicaLine({ name, leads, leader, cut_off: cutOff, problem }) {
  const who = leads ? "leads" : leader ? `follows ${oneLine(leader)}, which leads` : "does not know who leads";
  const alone = cutOff ? "; cut off from the cluster, it runs its sweeps for itself" : "";
  return `Replica ${oneLine(name)} ${who}${alone}${problem ? `; ${oneLine(problem)}` : ""}`;
}

function sweepEntry(sweep) {
  const troubles = (sweep.last?.checks ?? []).filter((check) => check.status !== "ok").slice(0, MOST);
  return [
    badge(oneLine(sweep.state.status ?? "pending")),
    el("span", {}, oneLine(sweep.name)),
    el("span", { class: "faint" }, standing(sweep)),
    troubles.length > 0 ? el("ul", { class: "troubles" }, troubles.map((check) => el("li", {}, checkEntry(check)))) : null,
  ];
}

function checkEntry({ plugin, run, status, summary, reason }) {
  const why = reason ? ` (${oneLine(reason)})` : "";
  return [badge(oneLine(status)), `${why} `, run ? link(["runs", run], {}, oneLine(plugin)) : oneLine(plugin), `: ${cut(oneLine(summary), 600)}`];
}

/** Since when, what speaks against it, and when it is looked at next. */
function standing({ state, schedule, next, running, silences = [] }) {
  const times = state.streak === 1 ? "once" : `${state.streak} times`;
  return [
    state.since ? `since ${clockTime(state.since)}` : null,
    state.last && state.streak > 0 ? `now ${oneLine(state.last)} ${times}, not confirmed yet` : null,
    state.flapping ? `flapping (${state.change_percent.toFixed(0)} % changes)` : null,
    silences.length > 0 ? "silenced" : null,
    cadence(schedule),
    running ? "under way" : next ? `next ${clockTime(next)}` : null,
  ].filter(Boolean).join("; ");
}

function cadence(schedule) {
  if (!schedule) return "runs when asked";
  if (schedule.every_seconds !== undefined) return `every ${seconds(schedule.every_seconds)}`;
  return `at ${oneLine(schedule.cron ?? "unknown times")}${schedule.timezone ? ` in ${oneLine(schedule.timezone)}` : ""}`;
}

function leaseEntry({ run, state, until, reason, plugin, actor, replica, holds }) {
  const [first, ...others] = holds;
  const held = first === undefined ? "nothing" : oneLine(first) + (others.length > 0 ? `, and ${others.length} more` : "");
  return [
    badge(oneLine(state)),
    link(["runs", run], {}, oneLine(plugin)),
    el("span", {}, held),
    el("span", { class: "faint" }, "until ", when(until), `, for ${oneLine(actor)}${replica ? `, made by the replica ${oneLine(replica)}` : ""}`),
    reason ? el("span", { class: "reason" }, oneLine(reason)) : null,
  ];
}

function freezeEntry({ scope, reason, creator, expires }) {
  const frozen = scope.target ?? (scope.plugin ? `plugin ${scope.plugin}` : "all");
  return [
    el("strong", {}, oneLine(frozen)),
    el("span", {}, oneLine(reason)),
    el("span", { class: "faint" }, "until ", when(expires), `, by ${oneLine(creator)}`),
  ];
}
