// How long to wait before the next attempt: soon at first, then ever longer, never in sync with others.

const FIRST_MS = 200;
const MOST_MS = 5_000;

export function backoff(attempt) {
  const base = Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
  return base * (0.5 + Math.random() / 2);
}
