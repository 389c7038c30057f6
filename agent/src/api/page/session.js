// Whose token is sent. It lives as long as the tab: in its session storage, so that a reload does not ask again, and nowhere
// else. It is never part of an address.

const PLACE = "paramedic.token";

let held = stored();
let over = new AbortController();

function stored() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    // A browser that keeps nothing for this page: the token then lives until it is reloaded.
    return null;
  }
}

/** The token; null while there is none. */
export function token() {
  return held;
}

/** From now on this one is sent. */
export function keep(token) {
  held = token;
  try {
    sessionStorage.setItem(PLACE, token);
  } catch {
    // As above.
  }
}

/** The signal that ends what was asked for with the token, when that is forgotten. */
export function end() {
  return over.signal;
}

/** From now on none is sent, and what was asked for with it is not waited for. */
export function forget() {
  held = null;
  over.abort();
  over = new AbortController();
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // There is nothing to be forgotten.
  }
}

/** What can be a token: anything else could not even be sent. */
export function isToken(text) {
  return /^[\x21-\x7e]+$/.test(text);
}
