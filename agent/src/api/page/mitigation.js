// A mitigation: what it does, and the command that plans it. This page itself changes nothing.

import { ask } from "./api.js";
import { command, el, fill } from "./dom.js";
import { paramsForm } from "./form.js";
import { commandLine } from "./notation.js";
import { patch } from "./patch.js";
import { about } from "./plugin.js";
import { hash } from "./route.js";
import { oneLine } from "./text.js";

export async function mitigation({ parts: [name = ""], query, place, signal }) {
  const plugin = await ask("GET", `v1/plugins/${encodeURIComponent(name)}`, { signal });
  const params = paramsForm(plugin.params_schema, plugin.params, query);
  const typed = el("div", {});
  const write = () => patch(typed, el("div", {}, command(commandLine("plan", name, params.params()))));
  const input = () => {
    write();
    history.replaceState(null, "", hash(["mitigation", name], params.texts()));
  };
  write();
  fill(
    place,
    about(plugin),
    plugin.risk ? el("p", {}, `Harm that it could do: ${oneLine(plugin.risk)}.`) : null,
    el("form", { on: { input, submit: (event) => event.preventDefault() } }, params.element),
    el("section", {}, el("h2", {}, "Plan it"), typed, el("p", { class: "faint" }, NEXT)),
  );
}

const NEXT =
  "The plan lists what would change, changes nothing, and prints the command that applies it. Both are for the command line: this page changes nothing.";
