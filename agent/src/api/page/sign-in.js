// The form that asks for a token.

import { ask, isForbidden, Refused, words } from "./api.js";
import { el, fill } from "./dom.js";
import { say } from "./say.js";
import * as session from "./session.js";

/** The form. `problem` is why the token of before is not good any more; `open` is called with one that is. */
export function signIn({ problem, signal, open }) {
  const trouble = el("p", { class: "trouble", id: "refusal" });
  const field = el("input", {
    id: "token", type: "password", autocomplete: "off", spellcheck: "false", "aria-describedby": "refusal",
  });
  const refuse = (text) => {
    fill(trouble, text);
    field.setAttribute("aria-invalid", "true");
    field.focus();
    say(text);
  };
  const submit = async (event) => {
    event.preventDefault();
    const token = field.value.trim();
    if (!session.isToken(token)) {
      refuse(token ? "The token holds signs that no token can have." : "Give a token.");
      return;
    }
    fill(trouble);
    session.keep(token);
    try {
      await ask("GET", "v1/plugins", { signal });
      open();
    } catch (error) {
      if (isForbidden(error)) {
        open();
        return;
      }
      // What the agent does not know shows this form again, with the agent's words.
      if (signal.aborted || (error instanceof Refused && error.status === 401)) return;
      session.forget();
      refuse(words(error));
    }
  };
  if (problem) {
    fill(trouble, `${problem.title}: ${problem.detail}`);
    field.setAttribute("aria-invalid", "true");
    say(`${problem.title}: ${problem.detail}`);
  }
  return el(
    "form",
    { class: "sign-in", on: { submit } },
    el("h1", {}, "Sign in"),
    el("label", { for: "token" }, "Token"),
    field,
    trouble,
    el("button", { type: "submit", class: "main" }, "Sign in"),
    el("p", { class: "faint" }, "It is kept in this tab and forgotten with it."),
  );
}
