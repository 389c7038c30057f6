// Waiting: for a while, and for somebody to look.

/** Comes true after that many milliseconds, or when the signal says so. */
export function sleep(milliseconds, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}

/** Comes true while the tab can be seen, or when the signal says so. */
export function seen(signal) {
  return new Promise((done) => {
    if (!document.hidden || signal.aborted) {
      done();
      return;
    }
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      done();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

/** What `promise` comes to, or the end that the signal brings first. */
export function unlessAborted(promise, signal) {
  return new Promise((done, fail) => {
    const end = () => fail(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
    promise.then(done, fail).finally(() => signal.removeEventListener("abort", end));
  });
}
