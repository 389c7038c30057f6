// Where the page begins: who asks, what is shown, and where a link leads.
//
//   session ─► api ─► views: overview, plugins, check, mitigation, runs, run
//                       ▼
//                     card, form ─► dom, text: whatever the agent said becomes text, and nothing else
//
// A view is a function that is given the parts of its address, a place to draw in, and a signal that tells it when
// somebody went elsewhere. Everything that a view keeps going ends with that signal.

import { ask, isForbidden, Refused, words, whenUnknown } from "./api.js";
import { check } from "./check.js";
import { el, fill } from "./dom.js";
import { mitigation } from "./mitigation.js";
import { overview } from "./overview.js";
import { plugins } from "./plugins.js";
import { read } from "./route.js";
import { run } from "./run.js";
import { runs } from "./runs.js";
import { say } from "./say.js";
import * as session from "./session.js";
import { signIn } from "./sign-in.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const signOut = document.getElementById("sign-out");

const VIEWS = { "": overview, plugins, check, mitigation, runs };

let current = new AbortController();

/** Ends what is shown, and gives the signal of what comes next. */
function leave() {
  current.abort();
  current = new AbortController();
  fill(main);
  return current.signal;
}

/** Shows what the address names. It is only looked up: a link does nothing by itself. */
async function show() {
  const signal = leave();
  const { parts, query } = read(location.hash);
  const view = parts[0] === "runs" && parts.length > 1 ? run : VIEWS[parts[0] ?? ""];
  mark(parts[0] ?? "");
  if (!view) {
    fill(main, el("p", {}, "There is nothing here. The parts of this page stand above."));
    return;
  }
  const place = el("div", { class: "view" });
  fill(main, place);
  try {
    await view({ parts: parts.slice(1), query, place, signal });
  } catch (error) {
    if (!signal.aborted) {
      place.append(el("p", { class: "trouble" }, words(error)));
      say(words(error));
    }
  }
}

/** Which part of the page is shown, for the eye and for a screen reader. */
function mark(part) {
  const wanted = { "": "#/", plugins: "#/plugins", check: "#/plugins", mitigation: "#/plugins", runs: "#/runs" }[part];
  for (const link of nav.children) {
    if (link.getAttribute("href") === wanted) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function open() {
  nav.hidden = false;
  signOut.hidden = !session.token();
  show();
}

/** Asks for a token, and says why. */
function askForToken(problem) {
  const signal = leave();
  nav.hidden = true;
  signOut.hidden = true;
  fill(main, signIn({ problem, signal, open }));
  main.querySelector("input").focus();
}

whenUnknown((problem) => {
  const had = session.token();
  session.forget();
  // Somebody who never gave a token need not be told that it is missing.
  askForToken(had ? problem : null);
});

signOut.addEventListener("click", () => {
  session.forget();
  askForToken(null);
  say("Signed out.");
});

addEventListener("hashchange", () => {
  if (!nav.hidden) {
    show();
    main.focus();
  }
});

/** An agent that asks nobody for a token answers; all others say that they want one, which shows the form. */
async function begin() {
  try {
    await ask("GET", "v1/plugins", { signal: current.signal });
    open();
  } catch (error) {
    if (isForbidden(error)) open();
    if (error instanceof Refused && [401, 403].includes(error.status)) return;
    if (current.signal.aborted) return;
    fill(
      main,
      el("p", { class: "trouble" }, words(error)),
      el("button", { type: "button", on: { click: begin } }, "Try again"),
    );
  }
}

begin();
