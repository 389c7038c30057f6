// Addresses within this page: `#/check/k8s-top?labels=app%3Dapi&watch=2`. What follows the `#` never leaves the browser.

/** The address of these parts. Whatever they are, it begins with `#/`. */
export function hash(parts, query = {}) {
  const path = parts.map(encodeURIComponent).join("/");
  const search = new URLSearchParams(query).toString();
  return search ? `#/${path}?${search}` : `#/${path}`;
}

/** The parts of an address, and what follows its `?`. */
export function read(text) {
  const [path, search = ""] = split(text.replace(/^#\/?/, ""));
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(search) };
}

function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
