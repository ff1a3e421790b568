// Tells when it is worth trying at once: the network is back, the page is looked at, the machine slept.
// `wake(true)` means that a connection which seems open may be dead.

const TICK_MS = 5_000;
const ASLEEP_MS = 90_000; // Hidden pages are woken once a minute, so less proves nothing.

export function onWake(wake) {
  addEventListener("online", () => wake(true));
  addEventListener("pageshow", ({ persisted }) => persisted && wake(true));
  document.addEventListener("visibilitychange", () => document.hidden || wake(false));
  let last = Date.now();
  setInterval(() => {
    if (Date.now() - last > ASLEEP_MS) wake(true);
    last = Date.now();
  }, TICK_MS);
}
