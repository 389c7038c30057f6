// A check: what it is, its form, and its card, once or live. Opening this by a link fills the form in and starts nothing.

import { ask, Refused, words } from "./api.js";
import { card, verdict } from "./card.js";
import { el, fill } from "./dom.js";
import { paramsForm } from "./form.js";
import { mitigation } from "./mitigation.js";
import { Order } from "./order.js";
import { patch } from "./patch.js";
import { about, kindsOf } from "./plugin.js";
import { hash } from "./route.js";
import { say } from "./say.js";
import { clockTime } from "./time.js";
import { cut, oneLine } from "./text.js";
import { LONGEST, SHORTEST, USUAL, watch } from "./watch.js";

export async function check({ parts: [name = ""], query, place, signal }) {
  const path = `v1/plugins/${encodeURIComponent(name)}`;
  const [plugin, list] = await Promise.all([ask("GET", path, { signal }), ask("GET", "v1/plugins", { signal })]);
  if (plugin.kind === "mitigation") {
    await mitigation({ parts: [name], query, place, signal });
    return;
  }
  const params = paramsForm(plugin.params_schema, plugin.params, query);
  const stage = new Stage(name, kindsOf(list));
  const controls = new Controls(query.get("watch"));
  const link = (watched) => history.replaceState(null, "", hash(["check", name], { ...params.texts(), ...watched }));

  /** Does `action` until it ends or somebody presses Stop. */
  const during = async (watched, action) => {
    const stopped = new AbortController();
    const both = AbortSignal.any([signal, stopped.signal]);
    params.refuse([]);
    fill(complaint);
    link(watched);
    controls.busy(() => stopped.abort());
    try {
      await action(new Order(name, params.params()), both);
    } catch (error) {
      if (!both.aborted) fail(error);
    }
    if (signal.aborted) return;
    controls.idle();
    stage.rest(stopped.signal.aborted);
  };
  const fail = (error) => {
    const isRefused = error instanceof Refused;
    const left = params.refuse(isRefused ? error.problem.errors ?? [] : []);
    const more = left.map((fault) => `\n${fault.pointer ? `${fault.pointer}: ` : ""}${fault.message}`).join("");
    const text = isRefused ? `${error.problem.title}: ${error.problem.detail}${more}` : words(error);
    fill(complaint, text);
    say(text);
  };
  const once = (order, both) => stage.once(order, both);
  const live = (order, both) =>
    watch({ order, every: controls.every(), signal: both, show: (known) => stage.show(known, controls.every()) });

  const complaint = el("p", { class: "trouble", id: "complaint" });
  const submit = (event) => {
    event.preventDefault();
    if (controls.wantsWatch(event.submitter)) during({ watch: controls.every() }, live);
    else during({}, once);
  };
  const canRun = plugin.state === "active" && plugin.kind === "check";
  fill(
    place,
    about(plugin),
    canRun ? el("form", { novalidate: true, on: { submit } }, params.element, complaint, controls.element) : null,
    stage.element,
  );
}

/** The buttons: run once, watch, stop. */
class Controls {
  constructor(watched) {
    const every = Number(watched) || USUAL;
    this.seconds = el("input", {
      id: "every", type: "number", min: SHORTEST, max: LONGEST, step: "any", value: String(every), inputmode: "decimal",
    });
    this.once = el("button", { type: "submit", class: watched ? null : "main" }, "Run once");
    this.watch = el("button", { type: "submit", class: watched ? "main" : null }, "Watch");
    this.stop = el("button", { type: "button", hidden: true }, "Stop");
    this.element = el(
      "div",
      { class: "controls" },
      this.once,
      el("span", { class: "watch" }, this.watch, el("label", { for: "every" }, "every"), this.seconds, " s"),
      this.stop,
    );
  }

  /** The interval in seconds. */
  every() {
    return Math.min(LONGEST, Math.max(SHORTEST, Number(this.seconds.value) || USUAL));
  }

  wantsWatch(button) {
    this.pressed = button;
    return button === this.watch;
  }

  busy(stop) {
    this.stop.onclick = stop;
    this.stop.hidden = false;
    this.stop.focus();
    for (const control of [this.once, this.watch, this.seconds]) control.disabled = true;
  }

  idle() {
    const hadFocus = document.activeElement === this.stop;
    for (const control of [this.once, this.watch, this.seconds]) control.disabled = false;
    this.stop.hidden = true;
    if (hadFocus) this.pressed?.focus();
  }
}

/** Where the card is, and what there is to say about it. */
class Stage {
  #known = { run: null, trouble: null, waiting: 0, paused: false };
  #lines = [];

  constructor(name, kinds) {
    this.name = name;
    this.kinds = kinds;
    this.line = el("p", { class: "live" });
    this.area = el("div", { class: "result" });
    this.element = el("div", {}, this.line, this.area);
  }

  /** Runs it once. */
  async once(order, signal) {
    this.#lines = [];
    fill(this.line, "under way …");
    const heard = (event, data) => {
      if (event === "log") this.#lines = [...this.#lines, data].slice(-10);
      const last = this.#lines.map((line) => oneLine(cut(line.message, 300)));
      fill(this.line, ["under way …", ...last].join("\n"));
    };
    const trouble = (error) => fill(this.line, `${error.message}; it is tried again`);
    this.show({ ...this.#known, run: await order.run({ signal, heard, trouble }), trouble: null }, null);
  }

  /** Draws what is known; `every` is the interval in seconds of a check that is watched. */
  show(known, every) {
    this.#known = { ...known };
    const { run, trouble, waiting, paused } = known;
    const isLate = every !== null && waiting > every * 1000;
    const told = [
      every === null ? null : `every ${every} s`,
      paused ? "paused while nobody looks at this tab" : null,
      isLate ? `no answer yet, after ${Math.floor(waiting / 1000)} s` : null,
      trouble ? `${oneLine(trouble)}; it is tried again` : null,
      run ? `this is of ${clockTime(run.finished ?? run.started)}` : null,
    ];
    patch(this.line, el("p", {}, told.filter(Boolean).join("; ")));
    this.line.className = trouble || isLate ? "live trouble" : "live";
    this.area.classList.toggle("old", Boolean(run && (trouble || isLate)));
    if (run) patch(this.area, el("div", {}, card(run, { kinds: this.kinds })));
    say(trouble ?? (run ? verdict(run) : ""));
  }

  /** Nothing is under way any more. */
  rest(wasStopped) {
    const { run } = this.#known;
    const of = run ? `this is of ${clockTime(run.finished ?? run.started)}` : "";
    fill(this.line, [wasStopped ? "stopped" : "", of].filter(Boolean).join("; "));
    this.line.className = "live";
  }
}
