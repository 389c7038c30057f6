// Parameters as one types them behind `paramedic run` and `paramedic plan`, by the rules of the command line.

import { printableJson } from "./text.js";

/** The command that runs a plugin with these parameters; `verb` is `run` or `plan`. */
export function commandLine(verb, plugin, params) {
  const start = `paramedic ${verb} ${quoted(plugin)}`;
  const isObject = params !== null && typeof params === "object" && !Array.isArray(params);
  if (!isObject || !Object.keys(params).every(isPlainKey)) {
    return `${start} --params ${quoted(printableJson(JSON.stringify(params)))}`;
  }
  const given = Object.entries(params).map(([name, value]) => ` -p ${quoted(`${name}=${written(value)}`)}`);
  return start + given.join("");
}

/** A name that `-p` can give. */
function isPlainKey(name) {
  return /^[\p{Alphabetic}\p{N}_.-]+$/u.test(name);
}

/** A value so that the command line reads it back: text that reads as JSON is written as JSON. */
function written(value) {
  const isPlain = typeof value === "string" && readValue(value) === value && printableJson(value) === value;
  return isPlain && !value.includes("\n") ? value : printableJson(JSON.stringify(value));
}

/** The value that a text stands for: JSON if it is JSON, else the text itself. */
export function readValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A word as a shell takes it. */
function quoted(word) {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
