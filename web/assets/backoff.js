// Milliseconds to wait before the next attempt: exponential, with jitter so that clients don't reconnect all at once.

const FIRST_MS = 200;
const MAX_MS = 5_000;

export function backoff(attempt) {
  const base = Math.min(MAX_MS, FIRST_MS * 2 ** attempt);
  return base * (0.5 + Math.random() / 2);
}
