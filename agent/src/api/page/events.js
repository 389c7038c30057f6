// What a run does, as it does it: a stream of server-sent events. The browser's own reader of such streams cannot send a
// token, so they are read here.

import { passes, Refused, Silent, stream } from "./api.js";
import { sleep } from "./pace.js";

/** How long a stream that broke is left alone, in milliseconds. */
const PAUSE = 2000;

/**
 * Tells `heard` of every line and call of a run until it has ended. A stream that breaks is opened again after what was
 * heard; `trouble` is told why, and `signal` ends the patience for that.
 */
export async function follow(id, { signal, heard, trouble }) {
  const path = `v1/runs/${encodeURIComponent(id)}/events`;
  let last = null;
  for (;;) {
    try {
      const body = await stream(path, { headers: last ? { "Last-Event-ID": last } : {} });
      if (!body) return;
      for await (const event of parse(body)) {
        if (event.id) last = event.id;
        if (event.name === "end") return;
        heard(event.name, JSON.parse(event.data));
      }
      // It ended without an end. Whoever asks again is told why.
      await sleep(PAUSE, signal);
    } catch (error) {
      // That the end of a run is not recorded does not pass.
      if (!passes(error) || signal.aborted || (error instanceof Refused && error.is("end-unknown"))) throw error;
      trouble(error);
      await sleep(Math.max(PAUSE, error.retryAfter ?? 0), signal);
    }
    signal.throwIfAborted();
  }
}

/** The events of a stream: `name`, `id` and `data` of each. */
async function* parse(body) {
  let event = {};
  for await (const line of lines(body)) {
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (line === "") {
      if (event.data !== undefined) yield event;
      event = {};
    } else if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(/\r?\n/);
      rest = parts.pop();
      yield* parts;
    }
  } catch (error) {
    throw error.name === "AbortError" ? error : new Silent("the agent's stream of events broke off");
  } finally {
    reader.cancel().catch(() => {});
  }
}
