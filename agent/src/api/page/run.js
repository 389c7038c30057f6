// One run, by its id. While it is under way its lines and calls appear as they come.

import { ask } from "./api.js";
import { card, verdict } from "./card.js";
import { el, fill } from "./dom.js";
import { follow } from "./events.js";
import { patch } from "./patch.js";
import { kindsOf } from "./plugin.js";
import { say } from "./say.js";
import { oneLine } from "./text.js";

/** Lines and calls that are kept of a run under way; its record has all of them. */
const MOST = 500;

export async function run({ parts: [id], place, signal }) {
  const path = `v1/runs/${encodeURIComponent(id)}`;
  const [begun, list] = await Promise.all([ask("GET", path, { signal }), ask("GET", "v1/plugins", { signal })]);
  const line = el("p", { class: "live" });
  const area = el("div", { class: "result" });
  fill(place, line, area);
  const show = (shown) => {
    patch(area, el("div", {}, card(shown, { kinds: kindsOf(list), isFull: true })));
    say(verdict(shown));
  };
  show(begun);
  if (begun.state !== "running") return;

  const known = { ...begun, log: [], calls: [] };
  const add = (all, one) => [...all, one].slice(-MOST);
  const heard = (event, data) => {
    if (signal.aborted) return;
    line.className = "live";
    if (event === "log") known.log = add(known.log, data);
    if (event === "call") known.calls = add(known.calls, data);
    const missed = event === "missed" ? `${data.lines} lines and ${data.calls} calls came too fast to be shown; ` : "";
    fill(line, `${missed}it is followed while it goes on`);
    show(known);
  };
  const trouble = (error) => {
    line.className = "live trouble";
    fill(line, `${oneLine(error.message)}; it is tried again`);
    say(error.message);
  };
  fill(line, "it is followed while it goes on");
  await follow(id, { signal, heard, trouble });
  show(await ask("GET", path, { signal }));
  fill(line);
}
