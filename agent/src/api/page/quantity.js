// Numbers with units, as people say them, and as the cards of a terminal print them.

const KIB = 1024;

const UNITS = {
  "": number, 1: number, By: bytes, KiBy: (v) => bytes(v * KIB), MiBy: (v) => bytes(v * KIB * KIB),
  us: (v) => seconds(v / 1e6), ms: (v) => seconds(v / 1e3), s: seconds, min: (v) => seconds(v * 60),
  h: (v) => seconds(v * 3600), d: (v) => seconds(v * 86_400),
};

/** A measured value. Units are in UCUM notation; those that people do not think in are turned into ones they do. */
export function quantity(value, unit) {
  const size = Math.abs(value);
  const text = Object.hasOwn(UNITS, unit) ? UNITS[unit](size) : `${number(size)} ${unit.replace(/[{}]/g, "")}`;
  return (value < 0 ? "-" : "") + text;
}

/** At most three decimals, and none that are zero. */
function number(value) {
  if (value !== 0 && !(value >= 0.001 && value < 1e15)) return value.toExponential().replace("e+", "e");
  return trimmed(value.toFixed(3));
}

function bytes(value) {
  let left = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (left < KIB) return `${rounded(left)} ${unit}`;
    left /= KIB;
  }
  return `${rounded(left)} TiB`;
}

/** A length of time: with decimals below a minute, in two whole units above. */
export function seconds(value) {
  if (value === 0) return "0 s";
  if (value < 0.000_999_5) return `${rounded(value * 1e6)} µs`;
  if (value < 0.999_5) return `${rounded(value * 1e3)} ms`;
  if (value < 59.95) return `${rounded(value)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return twoUnits(whole, 60, "min", 1, "s");
  if (whole < 86_400) return twoUnits(whole, 3600, "h", 60, "min");
  return twoUnits(whole, 86_400, "d", 3600, "h");
}

function twoUnits(value, large, largeName, small, smallName) {
  const [whole, rest] = [Math.floor(value / large), Math.floor((value % large) / small)];
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`;
}

/** Three digits that matter. */
function rounded(value) {
  if (value >= 99.95) return value.toFixed(0);
  return trimmed(value.toFixed(value >= 9.995 ? 1 : 2));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** True for a column of quantities with nothing else in it but gaps. */
export function isNumeric(cells) {
  const filled = cells.filter((cell) => cell !== "" && cell !== "-");
  return filled.length > 0 && filled.every(isQuantity);
}

/** Times, addresses, versions and ids begin with a digit too, and are read from the left. */
function isQuantity(cell) {
  const text = cell.replace(/^-+/, "");
  const isName = /[:/]/.test(text) || text.split(".").length > 2 || text.split("-").length > 2 || /\..*-|-.*\./.test(text);
  return !isName && text.split(" ").every((word, at) => at % 2 === 1 || /^[0-9]/.test(word));
}
