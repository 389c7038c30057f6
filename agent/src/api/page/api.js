// Asks the agent. It is the only file that sends anything, and it sends to nobody but the agent that gave this page.

import * as session from "./session.js";

/** How long something that is only looked up may take, in milliseconds. */
const LOOKUP = 30_000;

/** The agent refused, or failed: its problem has the words. */
export class Refused extends Error {
  constructor(problem, retryAfter) {
    super(problem.detail);
    this.problem = problem;
    this.status = problem.status;
    /** How long the agent wants to be left alone, in milliseconds. */
    this.retryAfter = retryAfter;
  }

  is(kind) {
    return this.problem.type === `urn:paramedic:problem:${kind}`;
  }
}

/** Nobody answered, or somebody who is no agent. */
export class Silent extends Error {}

let unknown = () => {};

/** What happens when the agent does not know who asks. */
export function whenUnknown(then) {
  unknown = then;
}

/** How far the agent's clock is ahead of ours, in milliseconds. */
let ahead = 0;

/** The time by the agent's clock, in milliseconds. */
export function now() {
  return Date.now() + ahead;
}

/** Asks, and gives the JSON of the answer. Throws `Refused` or `Silent`, or the reason of a signal that ended it. */
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const ends = endsOf(signal);
  const limits = AbortSignal.any([...ends, AbortSignal.timeout(LOOKUP)]);
  return read(await send(path, { ...options, signal: limits }, ends), ends);
}

/** Opens a stream of events; null when there is nothing to come. */
export async function stream(path, { headers, signal }) {
  const ends = endsOf(signal);
  const options = { headers: { Accept: "text/event-stream", ...headers }, signal: AbortSignal.any(ends) };
  const sent = await send(path, options, ends);
  if (sent.answer.status === 204) return null;
  const kind = sent.answer.headers.get("content-type") ?? "";
  return kind.startsWith("text/event-stream") ? sent.answer.body : read(sent, ends);
}

function endsOf(signal) {
  return signal ? [session.end(), signal] : [session.end()];
}

/** The answer, and with which token it was asked for. */
async function send(path, options, ends) {
  const token = session.token();
  const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
  try {
    // A token is for this agent, not for where something in between points.
    const answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
    return { answer, token };
  } catch (error) {
    throw silence(error, ends);
  }
}

/** Why there is no answer. */
function silence(error, ends) {
  const ended = ends.find((signal) => signal.aborted);
  if (ended) return ended.reason;
  const why = error.name === "TimeoutError" ? "did not answer in time" : "does not answer";
  return new Silent(`the agent at ${location.host} ${why}`);
}

async function read({ answer, token }, ends) {
  const date = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(date)) ahead = date - Date.now();
  let value;
  try {
    value = await answer.json();
  } catch (error) {
    if (error.name !== "SyntaxError") throw silence(error, ends);
  }
  if (answer.headers.get("content-type")?.startsWith("application/problem+json") && value) {
    const refused = new Refused(value, 1000 * Number(answer.headers.get("retry-after") ?? 0));
    // Of several that were asked for with the same token the first one says it.
    if (refused.status === 401 && token === session.token()) unknown(value);
    throw refused;
  }
  // `/readyz` tells with 503 that the agent is not ready, and how.
  if (value === undefined || !(answer.ok || answer.status === 503)) {
    throw new Silent(`${location.host} answered ${answer.status} with something that no agent says`);
  }
  return value;
}

/** True when the agent knows who asks, and does not let them: there are others who may, and other things. */
export function isForbidden(error) {
  return error instanceof Refused && error.status === 403;
}

/** True when the same question may be answered later without anybody doing anything about it. */
export function passes(error) {
  if (error instanceof Refused) return error.status === 429 || error.status >= 500 || error.is("in-progress");
  return error instanceof Silent;
}

/** Why there is no answer, in the agent's words where it said any. */
export function words(error) {
  if (!(error instanceof Refused)) return error.message;
  const faults = (error.problem.errors ?? []).map((fault) => {
    const place = fault.pointer ?? fault.parameter;
    return place ? `${place}: ${fault.message}` : fault.message;
  });
  return [`${error.problem.title}: ${error.problem.detail}`, ...faults].join("\n");
}
