// A check that somebody wants to be run: once, or again and again.

import { ask, Refused, Silent } from "./api.js";
import { follow } from "./events.js";
import { unlessAborted } from "./pace.js";

/** How long the agent may take before it answers with a run that is still under way. Then its events are followed. */
const PREFER = "respond-async, wait=10";

/** The last run that this page asked for, of each plugin. */
const turns = new Map();

/** Does it after what this page asked of that plugin before has ended: never are there two runs of it at once. */
function inTurn(plugin, action) {
  const mine = (turns.get(plugin) ?? Promise.resolve()).then(action);
  turns.set(plugin, mine.catch(() => {}));
  return mine;
}

/** A plugin and its parameters. */
export class Order {
  #key = newKey();

  constructor(plugin, params) {
    this.plugin = plugin;
    this.params = params;
  }

  /**
   * Runs it, and gives the record of the run when that has ended. `heard` is told what it does meanwhile, if it takes long.
   * Whoever goes away does not wait for the end; the run goes on, and the next one waits for it.
   */
  run({ signal, heard, trouble }) {
    const done = inTurn(this.plugin, async () => {
      signal.throwIfAborted();
      const begun = await this.#start();
      if (begun.state !== "running") return begun;
      await this.#follow(begun.id, { signal, heard, trouble });
      return ask("GET", `v1/runs/${encodeURIComponent(begun.id)}`);
    });
    return unlessAborted(done, signal);
  }

  async #start() {
    const headers = { Prefer: PREFER, "Idempotency-Key": this.#key };
    try {
      const run = await ask("POST", "v1/runs", { body: { plugin: this.plugin, params: this.params }, headers });
      this.#key = newKey();
      return run;
    } catch (error) {
      // Where nobody answered, it may have begun all the same. Asked for with the same key it is that run.
      const mayGoOn = error instanceof Silent || (error instanceof Refused && error.is("in-progress"));
      if (!mayGoOn) this.#key = newKey();
      throw error;
    }
  }

  async #follow(id, told) {
    try {
      await follow(id, told);
    } catch (error) {
      // An agent that came back without its records. What was asked for is not there, and can be asked for again.
      if (error instanceof Refused && error.is("unknown-run")) throw new Silent(error.problem.detail);
      throw error;
    }
  }
}

/** A text that nobody else sends. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
