// Brings what is shown up to date in place: nodes that can stay do, and so do the focus, what is selected, what is folded
// out and how far something is scrolled.

/** Makes the children of `old` those of `fresh`. Children with the same `data-key` are the same thing. */
export function patch(old, fresh) {
  const wanted = new Set([...fresh.children].map(keyOf));
  for (const child of [...old.children]) {
    if (keyOf(child) && !wanted.has(keyOf(child))) child.remove();
  }
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const same = counterpart(old, at, node);
    if (!same) {
      old.insertBefore(node, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    renew(same, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  return node.dataset?.key;
}

/** The child of `old` that `node` is a newer state of. */
function counterpart(old, at, node) {
  const isAlike = (other) => other.nodeName === node.nodeName && keyOf(other) === keyOf(node);
  if (keyOf(node)) return [...old.children].find(isAlike);
  return at && isAlike(at) ? at : null;
}

function renew(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // What somebody folded out stays so.
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  old.onclick = fresh.onclick;
  patch(old, fresh);
}
