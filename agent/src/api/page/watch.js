// Live: a check again and again, as `paramedic run --watch` does it on a terminal.

import { passes } from "./api.js";
import { seen, sleep } from "./pace.js";

/** Shortest and longest interval, in seconds, and the one where none is given. */
export const SHORTEST = 0.5;
export const LONGEST = 3600;
export const USUAL = 5;

/** How often it is shown that an answer is still awaited, in milliseconds. */
const PATIENCE = 1000;

/**
 * Runs it again and again until the signal says so, and shows what is known: `run`, the last one that ended; `trouble`, why
 * there is none that is newer; `waiting`, for how many milliseconds an answer has been awaited; `paused`, while nobody looks.
 * Throws what will never be answered.
 */
export async function watch({ order, every, signal, show }) {
  const known = { run: null, trouble: null, waiting: 0, paused: false };
  while (!signal.aborted) {
    await pause(known, signal, show);
    const rest = await round({ order, known, signal, show });
    if (signal.aborted) return;
    show(known);
    await sleep(Math.max(every * 1000, rest), signal);
  }
}

async function pause(known, signal, show) {
  if (!document.hidden) return;
  known.paused = true;
  show(known);
  await seen(signal);
  known.paused = false;
}

/** One question. Answers how long the agent wants to be left alone, in milliseconds. */
async function round({ order, known, signal, show }) {
  if (signal.aborted) return 0;
  const begun = performance.now();
  const wait = setInterval(() => {
    known.waiting = performance.now() - begun;
    show(known);
  }, PATIENCE);
  const trouble = (error) => { known.trouble = error.message; };
  try {
    known.run = await order.run({ signal, heard: () => {}, trouble });
    known.trouble = null;
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    if (!passes(error)) throw error;
    known.trouble = error.message;
    return error.retryAfter ?? 0;
  } finally {
    clearInterval(wait);
    known.waiting = 0;
  }
}
