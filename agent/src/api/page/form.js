// A form for the parameters of a plugin, made from their JSON Schema. What is left empty is not sent, so that the agent's own
// defaults hold; what is wrong is not judged here but by the agent, whose words are shown beside the field that they name.

import { el, fill } from "./dom.js";
import { readValue } from "./notation.js";
import { clean, cut, oneLine } from "./text.js";

/** Most fields of a form, those that are shown at once, and how many more are not worth folding away. */
const MOST = 200;
const SHOWN = 8;
const FEW = 2;

/** Longest text of a default that is shown in an empty field. */
const LONGEST_DEFAULT = 200;

/** In an address, the parameters of a plugin that does not say which it takes. */
const WHOLE = "params";

/**
 * The form. `given` are texts for its fields by name, as they stand in an address.
 *
 * element  what is shown
 * params   the parameters as they are sent
 * texts    what stands in the fields that are not empty, by name
 * refuse   shows errors beside the fields that they name, and gives back those that name none
 */
export function paramsForm(schema, configured, given) {
  const fields = fieldsOf(schema ?? {}, configured ?? {});
  fields.forEach((field, at) => build(field, at, given.get(field.name) ?? ""));
  const unknown = [...given.keys()].filter((name) => name !== "watch" && !fields.some((field) => field.name === name));
  return {
    element: el("div", { class: "params" }, layout(fields), unknown.map(notTaken)),
    params: () => paramsOf(fields),
    texts: () => Object.fromEntries(fields.map(({ name, input }) => [name, input.value]).filter(([, text]) => text)),
    refuse: (errors) => refuse(fields, errors),
  };
}

function notTaken(name) {
  return el("p", { class: "trouble" }, `The link gives ${oneLine(name)}, which this plugin does not take.`);
}

function layout(fields) {
  if (fields.length === 0) return el("p", { class: "faint" }, "It takes no parameters.");
  // Thresholds are many and rarely given.
  const first = Math.min(SHOWN, Math.max(1, fields.filter((field) => field.kind !== "loose").length));
  const shown = fields.length > first + FEW ? fields.slice(0, first) : fields;
  const folded = fields.slice(shown.length);
  const grid = (some) => el("div", { class: "fields" }, some.map((field) => field.element));
  if (folded.length === 0) return grid(shown);
  const open = folded.some((field) => field.input.value !== "");
  const more = el("details", { open }, el("summary", {}, `${folded.length} more parameters`), grid(folded));
  return [grid(shown), more];
}

function fieldsOf(schema, configured) {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) {
    const isOpen = schema.additionalProperties !== false;
    return isOpen ? [{ name: WHOLE, kind: "whole", hint: "An object, as JSON.", rest: "" }] : [];
  }
  const required = new Set(schema.required ?? []);
  const field = ([name, property]) => {
    const rule = resolved(property, schema, 0);
    const standing = (Object.hasOwn(configured, name) ? configured[name] : null) ?? property.default ?? rule.default;
    return {
      name,
      ...kindOf(rule, schema),
      hint: property.description ?? rule.description ?? "",
      standing: standing === null ? undefined : standing,
      isRequired: required.has(name) && standing === undefined,
    };
  };
  // What says where and what comes before how much.
  const order = { choice: 1, text: 1, lines: 1, json: 2, truth: 3, number: 3, loose: 4 };
  const rank = (one) => (one.isRequired ? 0 : order[one.kind]);
  return properties.slice(0, MOST).map(field).sort((one, other) => rank(one) - rank(other));
}

/** A schema behind its references, without the possibility of `null`, which an empty field stands for. */
function resolved(schema, root, depth) {
  if (schema === null || typeof schema !== "object" || depth > 8) return {};
  if (typeof schema.$ref === "string") {
    const name = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(schema.$ref)?.[1];
    const definitions = { ...root.definitions, ...root.$defs };
    const { $ref, ...own } = schema;
    return { ...resolved(Object.hasOwn(definitions, name) ? definitions[name] : {}, root, depth + 1), ...own };
  }
  const ways = (schema.anyOf ?? schema.oneOf ?? schema.allOf ?? []).filter((way) => way?.type !== "null");
  if (ways.length === 1) return { ...resolved(ways[0], root, depth + 1), ...schema };
  return schema;
}

function kindOf(rule, root) {
  const choices = choicesOf(rule);
  if (choices) return { kind: "choice", choices };
  const types = [rule.type ?? []].flat().filter((type) => type !== "null");
  const is = (...names) => types.length > 0 && types.every((type) => names.includes(type));
  if (is("boolean")) return { kind: "choice", choices: [true, false] };
  if (is("string")) return { kind: "text" };
  if (is("number", "integer")) return { kind: "number" };
  if (is("string", "number", "integer")) return { kind: "loose" };
  const item = is("array") ? resolved(rule.items, root, 0) : {};
  return item.type === "string" || choicesOf(item) ? { kind: "lines" } : { kind: "json" };
}

/** The values of which it is one; none where there are others. */
function choicesOf(rule) {
  if (Array.isArray(rule.enum)) return rule.enum.filter((choice) => choice !== null);
  const ways = (rule.oneOf ?? rule.anyOf ?? []).filter((way) => way?.type !== "null");
  const all = ways.flatMap((way) => way?.enum ?? (way && "const" in way ? [way.const] : [null]));
  return ways.length > 0 && !all.includes(null) ? all : null;
}

function build(field, at, text) {
  const [id, hint, wrong] = [`field-${at}`, `hint-${at}`, `wrong-${at}`];
  const shared = { id, name: id, "aria-describedby": `${hint} ${wrong}` };
  field.input = input(field, shared, text);
  field.wrong = el("p", { id: wrong, class: "wrong" });
  const needed = field.isRequired ? el("span", { class: "faint" }, " required") : null;
  field.element = el(
    "div",
    { class: `field ${field.kind}` },
    el("label", { for: id }, oneLine(field.name), needed),
    field.input,
    el("p", { id: hint, class: "faint" }, hintOf(field)),
    field.wrong,
  );
}

function hintOf({ kind, hint, standing }) {
  const form = { lines: "One a line. ", json: "As JSON. " }[kind] ?? "";
  // The placeholder has it as well, but goes when somebody types, and not every reader reads it.
  const usual = standing === undefined ? "" : ` Unless given: ${shownDefault(standing)}.`;
  return form + cut(clean(hint), 600) + usual;
}

function shownDefault(standing) {
  const text = typeof standing === "string" ? standing : JSON.stringify(standing);
  return cut(oneLine(text) || "empty", LONGEST_DEFAULT);
}

function input({ kind, choices, standing }, shared, text) {
  const placeholder = standing === undefined ? null : shownDefault(standing);
  if (kind === "choice") {
    const texts = choices.map((choice) => (typeof choice === "string" ? choice : JSON.stringify(choice)));
    // What a link gives is shown as it is, for the agent to judge.
    const all = ["", ...texts, ...(text && !texts.includes(text) ? [text] : [])];
    const options = all.map((value) => el("option", { value }, value ? oneLine(value) : placeholder ?? "–"));
    const select = el("select", shared, options);
    select.value = text;
    return select;
  }
  if (["lines", "json", "whole"].includes(kind)) {
    const area = el("textarea", { ...shared, placeholder, rows: "2", spellcheck: "false" });
    area.value = text;
    return area;
  }
  const mode = kind === "number" ? "decimal" : null;
  const line = el("input", { ...shared, type: "text", placeholder, inputmode: mode, autocomplete: "off", spellcheck: "false" });
  line.value = text;
  return line;
}

function paramsOf(fields) {
  const whole = fields.find((field) => field.kind === "whole");
  if (whole) return whole.input.value.trim() ? readValue(whole.input.value) : {};
  const given = fields.filter((field) => field.input.value !== "");
  return Object.fromEntries(given.map((field) => [field.name, valueOf(field)]));
}

function valueOf({ kind, choices, input }) {
  const text = input.value;
  const read = readValue(text);
  switch (kind) {
    case "text": return text;
    case "lines": return text.split("\n").map((line) => line.trim()).filter(Boolean);
    case "choice": return choices.find((choice) => choice === text || JSON.stringify(choice) === text) ?? text;
    case "number":
    case "loose": return typeof read === "number" ? read : text;
    default: return read;
  }
}

function refuse(fields, errors) {
  const left = [];
  for (const { input, wrong } of fields) {
    fill(wrong);
    input.removeAttribute("aria-invalid");
  }
  for (const error of errors) {
    const place = error.pointer?.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    const field = place?.[0] === "params" ? fields.find(({ name, kind }) => kind === "whole" || name === place[1]) : null;
    if (!field) {
      left.push(error);
      continue;
    }
    const where = place.length > 2 ? `${place.slice(2).join("/")}: ` : "";
    field.wrong.append(el("span", {}, where + oneLine(error.message)));
    field.input.setAttribute("aria-invalid", "true");
    const folded = field.element.closest("details");
    if (folded) folded.open = true;
  }
  fields.find(({ input }) => input.hasAttribute("aria-invalid"))?.input.focus();
  return left;
}
