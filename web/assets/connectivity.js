// Calls `reconnect` when an attempt is likely to succeed: the network is back, the page is visible again, the computer
// woke from sleep. `reconnect(true)` means that a connection which seems open may be dead.

const TICK_MS = 5_000;
const ASLEEP_MS = 90_000; // Timers of hidden pages run once a minute, so a shorter gap proves nothing.

export function onConnectivity(reconnect) {
  addEventListener("online", () => reconnect(true));
  addEventListener("pageshow", ({ persisted }) => persisted && reconnect(true));
  document.addEventListener("visibilitychange", () => document.hidden || reconnect(false));
  let last = Date.now();
  setInterval(() => {
    if (Date.now() - last > ASLEEP_MS) reconnect(true);
    last = Date.now();
  }, TICK_MS);
}
