// What a screen reader says by itself.

import { oneLine } from "./text.js";

const said = document.getElementById("said");

/** Says it, unless it is what was said last: a check that is watched says the same again and again. */
export function say(text) {
  const line = oneLine(text);
  if (said.textContent !== line) said.textContent = line;
}
