// Times of the agent, which are RFC 3339 in UTC. They stay in UTC, because everything else that one compares them with at
// night is.

import { now } from "./api.js";
import { el } from "./dom.js";
import { seconds } from "./quantity.js";
import { oneLine } from "./text.js";

/** `03:14:15 UTC` of a time of today, with its date before it on any other day; the whole text where it is no time. */
export function clockTime(time) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(time);
  if (!found) return oneLine(time);
  const today = new Date(now()).toISOString().slice(0, 10);
  return found[1] === today ? `${found[2]} UTC` : `${found[1]} ${found[2]} UTC`;
}

/** A time, with how far away it is where that helps: `03:59:15 UTC (in 45 min)`. */
export function when(time) {
  const away = (Date.parse(time) - now()) / 1000;
  const far = seconds(Math.max(1, Math.round(Math.abs(away))));
  const told = Number.isNaN(away) ? "" : away > 0 ? ` (in ${far})` : ` (${far} ago)`;
  return el("time", { datetime: time }, clockTime(time) + told);
}

/** `03:14:15.926` of a time. */
export function timeOfDay(time) {
  return /T\d\d:\d\d:\d\d\.\d{3}/.test(time) ? time.slice(11, 23) : time;
}
