// Text that can be shown: what plugins, targets and other people wrote, with nothing left in it that turns the direction of
// text or hides. The same signs are replaced as in the cards of a terminal.

const HOSTILE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with its line ends and tabs, and a sign that can be seen for everything else that cannot. */
export function clean(text) {
  const shown = (sign) => (sign === "\n" || sign === "\t" ? sign : "\ufffd");
  return String(text).replaceAll("\r\n", "\n").replace(HOSTILE, shown);
}

/** The same in one line. */
export function oneLine(text) {
  return clean(String(text).trim()).replace(/[\n\t]/g, " ");
}

/** JSON in which every such sign inside a text is written as its escape. */
export function printableJson(json) {
  const escape = (sign) => (sign === "\n" ? sign : `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return json.replace(HOSTILE, escape);
}

/** The beginning of a text that is longer than `most`, with `…`. */
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
